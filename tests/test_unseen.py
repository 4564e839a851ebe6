"""Characters that are not seen, in the four places where they would mislead somebody."""

import unicodedata

import pytest

from deepagent.cli.terminal import plain
from deepagent.memory.schema import one_line
from deepagent.toolsets.mcp_content import visible as described
from deepagent.unseen import UNSEEN, UNSEEN_OR_JOINING
from deepagent.viewer.text import visible

JOINERS = "\u200c\u200d"
PLACES = [visible, one_line, described, lambda text: plain(text).plain]
KINDS = {
    "commands": [*map(chr, (0, 7, 8, 0x1B, 0x7F, 0x9B))],
    "order": list("\u061c\u200e\u200f\u202a\u202e\u2066\u2069"),
    "no width": list("\u180e\u200b\u2060\u2064\u206a\u206f\ufeff\ufffb"),
    "tags": [*map(chr, (0xE0001, 0xE0041, 0xE007F, 0xE0100, 0xE01EF))],
    "halves": ["\ud800", "\udfff"],
}


@pytest.mark.parametrize("place", PLACES, ids=["page", "memory", "MCP", "terminal"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_seen_reaches_nobody(place, kind):
    for character in KINDS[kind]:
        assert character not in place(f"lamp{character}shade"), f"U+{ord(character):04X}"


@pytest.mark.parametrize("text", ["a\tb\nc", "Preis: 3 €", "日本語", "שלום", "👍\ufe0f", "naïve", "e\u0301"])
def test_what_is_written_to_be_read_stays(text):
    assert not UNSEEN_OR_JOINING.search(text)


@pytest.mark.parametrize("text", ["می\u200cخواهم", "👩\u200d💻", "क्\u200dष"])
def test_joiners_stay_where_people_read_and_go_where_models_are_told_unasked(text):
    assert visible(text) == one_line(text) == plain(text).plain == text
    assert not set(described(text)) & set(JOINERS)


def test_all_that_unicode_calls_a_control_or_format_character_is_one_of_them_or_known_to_be_written():
    """What a new kind of format character may do is to be thought of, not found out."""
    written = {"\t", "\n", "\u00ad", *JOINERS}  # the soft hyphen shows where a word may be broken
    left = {
        character
        for character in map(chr, range(0x3000))
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and not UNSEEN.match(character)
    }
    arabic = {character for character in left if unicodedata.name(character, "").startswith(("ARABIC", "SYRIAC"))}
    assert left - arabic == written
