"""A reply is made of pieces that a server may cut anywhere."""

from hypothesis import example, given
from hypothesis import strategies as st

from deepagent.models.reply import Reply

ANY_CHARACTER = st.characters(codec=None, exclude_categories=())


def units(text: str) -> list[str]:
    """The text as a server writes it that escapes each half of a surrogate pair on its own."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [data[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(data), 2)]


def written(pieces: list[str]) -> tuple[str, str]:
    shown: list[str] = []

    def watch(piece: str) -> bool:
        shown.append(piece)
        return False

    reply = Reply(lambda event, reply: None, watch)
    for piece in pieces:
        reply.write(piece)
    return reply.text, "".join(shown)


@given(st.text())
@example("\N{LLAMA}a\N{LLAMA}")
def test_a_character_that_is_cut_in_two_arrives_whole(text):
    assert written(units(text)) == (text, text)


@given(st.lists(st.text(ANY_CHARACTER)))
@example(["\ud83d", "a"])
@example(["\ude00", "\ud83d"])
def test_text_and_what_is_watched_can_always_be_encoded(pieces):
    text, shown = written(pieces)
    text.encode()
    assert shown == text
