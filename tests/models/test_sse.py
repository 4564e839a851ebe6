import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.errors import ModelReplyError
from deepagent.models import sse
from deepagent.models.sse import EventParser

texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@given(st.lists(texts, max_size=5), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_events_do_not_depend_on_where_the_bytes_are_cut(events: list[str], newline: str, data: st.DataObject):
    stream = "".join(f"data: {event}{newline}{newline}" for event in events).encode() + b": the end"
    parser = EventParser()
    found: list[str] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += parser.feed(stream[:size])
        stream = stream[size:]
    assert found == events


def test_lines_of_one_event_are_joined():
    assert EventParser().feed(b"data: one\ndata:two\n\n") == ["one\ntwo"]


def test_comments_names_and_empty_events_are_skipped():
    assert EventParser().feed(b": ping\n\nevent: x\nid: 3\n\nretry: 5\ndata: one\n\n") == ["one"]


def test_an_unfinished_event_is_held_back():
    parser = EventParser()
    assert parser.feed(b'data: {"a":') == []
    assert parser.feed(b" 1}\n") == []
    assert parser.feed(b"\n") == ['{"a": 1}']


@pytest.mark.parametrize("line", [b"x" * 64, b"data: " + b"x" * 58 + b"\n"])
def test_an_event_without_end_is_refused(line: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    parser = EventParser()
    for _ in range(15):
        parser.feed(line)
    with pytest.raises(ModelReplyError, match="not a model server"):
        parser.feed(line)
