"""Text as search sees it: the text of a tool, the words of a text, the sentences of a query."""

from __future__ import annotations

import re
import unicodedata

from deepagent.tools import ToolSpec

MAX_TEXT = 8_000
"""Characters of a tool that are indexed: encoders read far less, and a huge description must not drown the rest."""

MAX_QUERY = 4_000
"""Characters of a query that are read."""

_MAX_SENTENCES = 16
_SHORT_SENTENCE = 15

# Digits stay with their letters (`base64`, `s3`), as queries write them so.
_IDENTIFIER_SEAMS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+")
# Chinese, Japanese and Korean are written without spaces: each character is a word.
_CHARACTER = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CHARACTER}]|[^\W_{_CHARACTER}]+")
_COMMON = """
    a an and are as at be but by can could do does for from has have how i if in into is it its me my no not of on or
    our please s so such t that the their then there these they this to was we what which will with would you your
"""
_STOP_WORDS = frozenset(_COMMON.split())


def tool_text(spec: ToolSpec) -> str:
    """The text by which a tool is found: toolset and name split into words, then the description.

    Parameter names are left out: they were measured not to help.
    """
    head = f"{identifier_words(spec.toolset)} {identifier_words(spec.name)}".strip()
    return clean(f"{head} {spec.description[:MAX_TEXT]}", MAX_TEXT)


def clean(text: str, limit: int) -> str:
    """Make hostile text plain: one line, no control characters, no broken Unicode, at most `limit` characters."""
    text = unicodedata.normalize("NFKC", text[:limit].encode("utf-8", "replace").decode())
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:limit].rstrip()


def words(text: str) -> list[str]:
    """The words of a text that lexical search compares: lower case, without stop words, reduced to their stem."""
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]


def query_parts(query: str) -> list[str]:
    """The whole query, then its sentences if it has several; empty when the query says nothing.

    Very short sentences carry no wish of their own and are only part of the whole.
    """
    query = query[:MAX_QUERY]
    whole = clean(query, MAX_QUERY)
    if not whole:
        return []
    sentences = [clean(sentence, MAX_QUERY) for sentence in _SENTENCE_END.split(query)]
    sentences = [sentence for sentence in sentences if sentence and sentence != whole]
    return [whole, *[sentence for sentence in sentences if len(sentence) > _SHORT_SENTENCE][:_MAX_SENTENCES]]


def stem(word: str) -> str:
    """Cut the commonest English endings, so that `bookings` finds `book`. Crude, but the same on both sides."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            word = word.removesuffix(ending)
            doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz"
            return word[:-1] if doubled else word
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 2 and word.endswith("y") else word


def identifier_words(identifier: str) -> str:
    """The words of a name: `get_userOrders` is `get user Orders`."""
    return " ".join(_IDENTIFIER_SEAMS.sub(" ", identifier[:MAX_TEXT]).split())
