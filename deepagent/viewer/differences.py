"""What changed: between the memories of two folds, and between two runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from deepagent.viewer.timeline import StepEntry

State = Literal["same", "new", "gone", "changed"]
MEMORIES = ("episodic", "working", "tool")
_DOT = " · "
_WORDS = re.compile(r"\s+|[^\s]+")
_ALIGNED = 4_000
"""Steps of both runs together that are aligned; beyond, they are put side by side by number."""


@dataclass(frozen=True)
class Line:
    """One thing that is remembered.

    Attributes:
        label: what it is, such as `current progress`.
        words: the text in pieces: what stayed, what is new, what is gone.
        state: against the fold before; None where there was none.
    """

    label: str
    words: tuple[tuple[Literal["same", "new", "gone"], str], ...]
    state: State | None


@dataclass(frozen=True)
class Column:
    """One of the memories."""

    name: str
    lines: tuple[Line, ...]


def memories(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[Column]:
    """The three memories side by side, each line marked by what became of it since the fold before."""
    return [Column(name, tuple(_lines(now.get(name), before and before.get(name)))) for name in MEMORIES]


def _lines(now: object, before: object) -> Iterator[Line]:
    after, earlier = list(_flat(now)), list(_flat(before)) if before is not None else None
    if earlier is None:
        yield from (Line(label, (("same", text),), None) for label, text in after)
        return
    matcher = SequenceMatcher(None, [_key(*line) for line in earlier], [_key(*line) for line in after], autojunk=False)
    for kind, a1, a2, b1, b2 in matcher.get_opcodes():
        old, new = earlier[a1:a2], after[b1:b2]
        if kind == "equal":
            for (_, was), (label, text) in zip(old, new, strict=True):
                yield Line(label, _words(was, text), "same" if was == text else "changed")
            continue
        yield from (Line(label, (("gone", text),), "gone") for label, text in old)
        yield from (Line(label, (("new", text),), "new") for label, text in new)


def _key(label: str, text: str) -> str:
    """Lines are the same thing when they have one label, and in lists also one beginning: a tool, a step."""
    return f"{label}\n{text.partition(_DOT)[0]}" if label.endswith("·") else label


def _flat(value: object, label: str = "") -> Iterator[tuple[str, str]]:
    """A memory as labelled lines. It is read as JSON, whatever its schema: old logs have older ones."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, str(name).replace("_", " "))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from ((f"{label} ·", text) for text in [_item(item)] if text)
    elif value not in (None, ""):
        yield label, _scalar(value)


def _item(value: object) -> str:
    if not isinstance(value, Mapping):
        return _scalar(value)
    parts: list[str] = []
    for name, inner in value.items():
        if inner is None or (not isinstance(inner, int | float) and not inner):
            continue
        text = "; ".join(map(_item, inner)) if isinstance(inner, list | tuple) else _item(inner)
        if isinstance(inner, float) and "rate" in str(name):
            text = f"{inner:.0%}"
        parts.append(text if isinstance(inner, str) else f"{str(name).replace('_', ' ')} {text}")
    return _DOT.join(parts)


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _words(before: str, now: str) -> tuple[tuple[Literal["same", "new", "gone"], str], ...]:
    if before == now:
        return (("same", now),)
    old, new = _WORDS.findall(before), _WORDS.findall(now)
    pieces: list[tuple[Literal["same", "new", "gone"], str]] = []
    for kind, a1, a2, b1, b2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("same", "".join(old[a1:a2])))
            continue
        if a1 < a2:
            pieces.append(("gone", "".join(old[a1:a2])))
        if b1 < b2:
            pieces.append(("new", "".join(new[b1:b2])))
    return tuple(pieces)


@dataclass(frozen=True)
class Pair:
    """Steps of two runs that stand side by side; one is missing where only the other run did this."""

    left: StepEntry | None
    right: StepEntry | None
    state: Literal["same", "result", "differs"]
    """The same in both; the same action with another result; or not the same."""


def compare(left: Sequence[StepEntry], right: Sequence[StepEntry]) -> list[Pair]:
    """Align two runs by what was done in them."""
    if len(left) + len(right) > _ALIGNED:
        return [_pair(*both) for both in _zipped(left, right)]
    done, other = [_done(step) for step in left], [_done(step) for step in right]
    pairs: list[Pair] = []
    for kind, a1, a2, b1, b2 in SequenceMatcher(None, done, other, autojunk=False).get_opcodes():
        if kind in ("equal", "replace"):
            pairs += [_pair(*both) for both in _zipped(left[a1:a2], right[b1:b2])]
        else:
            pairs += [Pair(step, None, "differs") for step in left[a1:a2]]
            pairs += [Pair(None, step, "differs") for step in right[b1:b2]]
    return pairs


def first_divergence(pairs: Sequence[Pair]) -> int | None:
    """The place of the first pair that is not the same in both."""
    return next((place for place, pair in enumerate(pairs) if pair.state != "same"), None)


def _done(step: StepEntry) -> str:
    return step.action.model_dump_json() if step.action else ""


def _pair(left: StepEntry | None, right: StepEntry | None) -> Pair:
    if left is None or right is None or _done(left) != _done(right):
        return Pair(left, right, "differs")
    results = [step.result.text if step.result else None for step in (left, right)]
    return Pair(left, right, "same" if results[0] == results[1] else "result")


def _zipped(
    left: Sequence[StepEntry], right: Sequence[StepEntry]
) -> Iterator[tuple[StepEntry | None, StepEntry | None]]:
    for place in range(max(len(left), len(right))):
        yield left[place] if place < len(left) else None, right[place] if place < len(right) else None
