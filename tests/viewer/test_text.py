"""What a model or tool wrote cannot mislead whoever reads it."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.viewer.text import clip, duration, number, python, share, visible

ANY = st.text(st.characters(codec=None) | st.sampled_from("\x00\x1b\u202e\u2066\u200b\U000e0041\ud800<&>\n'\""))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "⟨U+001B⟩[2J"),
        ("exe.\u202etxt", "exe.⟨U+202E⟩txt"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("tab\tand\r\nnew line", "tab\tand\nnew line"),
        ("ä 👩\u200d🚀 漢字", "ä 👩\u200d🚀 漢字"),
    ],
)
def test_characters_that_are_not_seen_are_shown_by_number(text, shown):
    assert visible(text) == shown


@given(ANY)
def test_whatever_is_shown_can_be_sent(text):
    shown = visible(text)
    shown.encode()
    assert visible(shown) == shown


@given(ANY.map(lambda text: text * 50), st.integers(4, 40), st.integers(20, 500))
def test_a_clipped_text_is_beginning_and_end_of_the_text(text, lines, chars):
    part = clip(text, lines, chars)
    whole = text.rstrip("\n")
    assert whole.startswith(part.head)
    assert whole.endswith(part.tail)
    assert len(part.head) + len(part.tail) <= max(chars, len(whole) if not part.left_out else 0)
    assert bool(part.left_out) == (len(part.head) + len(part.tail) < len(whole))


def test_ten_megabytes_are_cut_to_a_screen():
    part = clip("0123456789\n" * 1_000_000)
    assert len(part.head) + len(part.tail) < 2_000
    assert part.left_out == "999,984 more lines"


@given(ANY)
def test_coloured_code_is_the_code_and_nothing_else(code):
    shown = python(code)
    assert set(re.findall(r"<(?!/?span\b)", shown)) == set()
    assert html.unescape(re.sub(r"</?span[^>]*>", "", shown)).rstrip("\n") == visible(code).rstrip("\n")


def test_numbers_are_said_as_people_say_them():
    assert [number(1234), number(3_100_000)] == ["1,234", "3.1 M"]
    assert [duration(0.25), duration(12.34), duration(125), duration(3700)] == [
        "250 ms",
        "12.3 s",
        "2 min 05 s",
        "1 h 01 min",
    ]
    assert [share(9, 10), share(0, 0)] == ["90 %", "–"]
