"""Pieces of a long text: the one at a place, and those that speak of something."""

from __future__ import annotations

from deepagent.retrieval.text import words

_AROUND = 300
"""Characters that a passage has at least."""


def piece(text: str, start: int, length: int) -> str:
    """The text from a character on, with a note on what is left."""
    start = min(max(start, 0), len(text))
    end = min(len(text), start + length)
    if not start and end == len(text):
        return text
    more = f"; more with start={end}" if end < len(text) else ""
    return f"{text[start:end]}\n[characters {start}-{end} of {len(text)}{more}]"


def matching(text: str, wanted: str, length: int) -> str:
    """The passages that fit best, in the order of the text, each with its place; nothing where none fits."""
    passages = _passages(text)
    query = set(words(wanted))
    scored = []
    for start, passage in passages:
        exact = wanted.strip().lower() in passage.lower()
        score = len(query & set(words(passage))) + len(query) * exact
        if score:
            scored.append((-score, start, passage))
    best: list[tuple[int, str]] = []
    room = length
    for _, start, passage in sorted(scored):
        if len(passage) > room and best:
            break
        best.append((start, passage[:room]))
        room -= len(passage)
    return "\n".join(f"[from character {start}] {passage}" for start, passage in sorted(best))


def best_passage(text: str, wanted: str, length: int) -> str:
    """The passage that fits best, or the beginning."""
    query = set(words(wanted))
    passages = _passages(text)
    best = max(passages, key=lambda one: len(query & set(words(one[1]))), default=(0, ""))
    return best[1][:length]


def _passages(text: str) -> list[tuple[int, str]]:
    """Lines, joined until they have a certain length, with the place of each."""
    found: list[tuple[int, str]] = []
    start = 0
    lines: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        lines.append(line)
        size += len(line)
        if size >= _AROUND:
            found.append((start, " ".join("".join(lines).split())))
            start, lines, size = start + size, [], 0
    if lines:
        found.append((start, " ".join("".join(lines).split())))
    return [one for one in found if one[1]]
