"""The ledger: what the log knows of the steps so far, without asking any model."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from deepagent.actions import Action, Call, Execute, Search
from deepagent.memory.schema import LedgerEntry, one_line
from deepagent.retrieval.text import words
from deepagent.runs.steps import Step

_ACTION_CHARS = 160
_RESULT_CHARS = 240
_BRIEF_ACTION_CHARS = 50
_BRIEF_RESULT_CHARS = 80
_NEWEST = 0.3
"""Share of the room for the newest entries."""
_LONGEST = 20_000
"""Characters of a result that are looked at; observations are shorter, but a fold must never depend on that."""
_PIECE = re.compile(r"(?<=[.!?;,}\]])\s+|\n+")


def entries(steps: Iterable[Step], task: str) -> list[LedgerEntry]:
    """One entry per finished step: what was done and a compact result."""
    topic = frozenset(words(task[:_LONGEST]))
    made = []
    for step in steps:
        if step.observation is None or not telling(step):
            continue
        action, result = describe(step.action), _compact(step, topic, _RESULT_CHARS)
        brief = _compact(step, topic, _BRIEF_RESULT_CHARS, strict=True)
        made.append(
            LedgerEntry(
                step=step.number,
                action=action,
                result=result,
                ok=step.observation.ok,
                brief=brief if brief != result else "",
                about=len(topic.intersection(words(f"{action} {result}"))),
            )
        )
    return made


def telling(step: Step) -> bool:
    """Whether a step says something: it acted, and was not the repetition of an earlier one."""
    if step.action.kind in ("fold", "answer", "malformed"):
        return False
    return step.observation is None or step.observation.repeats is None


def cite(ledger: Sequence[LedgerEntry], steps: Iterable[int]) -> list[LedgerEntry]:
    """The ledger with these citations counted."""
    counts = Counter(steps)
    return [
        entry.model_copy(update={"cited": entry.cited + counts[entry.step]}) if counts[entry.step] else entry
        for entry in ledger
    ]


def select(ledger: Sequence[LedgerEntry], limit: int) -> tuple[LedgerEntry, ...]:
    """The entries that are kept within `limit` bytes, in the order of steps.

    A part of the room is for the newest, as they are. The rest is for the most cited of the others, then those that
    have most to do with the task, then the newest again; these are kept in brief.
    """
    if sum(map(_size, ledger)) <= limit:
        return tuple(ledger)
    chosen: list[LedgerEntry] = []
    used = 0
    for entry in reversed(ledger):
        size = _size(entry)
        if used + size > limit * _NEWEST:
            break
        chosen.append(entry)
        used += size
    older = ledger[: len(ledger) - len(chosen)]
    for entry in sorted(older, key=lambda entry: (-entry.cited, -entry.about, -entry.step)):
        brief = _brief(entry)
        size = _size(brief)
        if used + size <= limit:
            chosen.append(brief)
            used += size
    return tuple(sorted(chosen, key=lambda entry: entry.step))


def line(entry: LedgerEntry) -> str:
    """An entry as memory shows it."""
    return f"{entry.step}. {entry.action} {'->' if entry.ok else 'FAILED'} {entry.result}"


def describe(action: Action) -> str:
    """An action on one line."""
    if isinstance(action, Search):
        return shorten(f"search {action.query!r}", _ACTION_CHARS)
    if isinstance(action, Call):
        given = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in action.arguments.items())
        return shorten(f"{action.name}({', '.join(given)})", _ACTION_CHARS)
    if isinstance(action, Execute):
        lines = "; ".join(line.strip() for line in action.code[:_LONGEST].splitlines() if line.strip())
        return shorten(f"execute {lines}", _ACTION_CHARS)
    return action.kind


def describe_in_full(action: Action) -> str:
    """An action with everything in it."""
    if isinstance(action, Execute):
        return f"execute:\n{action.code}"
    if isinstance(action, Call):
        return f"call {action.name} {action.arguments}"
    if isinstance(action, Search):
        return f"search: {action.query}"
    return action.kind


def shorten(text: str, limit: int) -> str:
    """Text on one line, its middle left out when it is longer than the limit in characters."""
    text = one_line(text)
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def gist(text: str, limit: int, topic: frozenset[str], *, strict: bool = False) -> str:
    """The pieces of a text that say most, in their order, within `limit` characters.

    What shares most words with the topic says most, then what holds numbers, then what comes first.

    Args:
        text: the whole.
        limit: most characters.
        topic: words, as `deepagent.retrieval.text.words` makes them.
        strict: leave out what has nothing to do with the topic, where anything has.
    """
    if len(text) <= limit and not strict:
        return one_line(text)
    pieces = [piece for piece in map(one_line, _PIECE.split(text[:_LONGEST])) if piece]
    shared = [len(topic.intersection(words(piece))) for piece in pieces]
    if strict and not any(shared):
        return gist(text, limit, topic)
    ranked = sorted(
        (at for at in range(len(pieces)) if shared[at] or not strict),
        key=lambda at: (-shared[at], not re.search(r"\d", pieces[at]), at),
    )
    chosen: set[int] = set()
    left = limit
    for at in ranked:
        cost = len(pieces[at]) + 5  # " ... "
        if cost <= left:
            chosen.add(at)
            left -= cost
    if not chosen:
        return shorten(text[:_LONGEST], limit)
    told: list[str] = []
    for at in sorted(chosen):
        skipped = at - 1 not in chosen and (told if strict else at)  # at the ends a brief text does without dots
        told += ["...", pieces[at]] if skipped else [pieces[at]]
    return " ".join(told if strict or len(pieces) - 1 in chosen else [*told, "..."])


def _compact(step: Step, topic: frozenset[str], limit: int, *, strict: bool = False) -> str:
    observation = step.observation
    if observation is None:
        return ""
    if isinstance(step.action, Search) and observation.found:
        return shorten("found " + ", ".join(tool.name for tool in observation.found), limit)
    prefix = f"[{observation.error}] " if observation.error else ""
    whole = f' (whole: recall(id="{observation.artifact}"))' if observation.artifact else ""
    return prefix + gist(observation.text, limit, topic, strict=strict) + whole


def _brief(entry: LedgerEntry) -> LedgerEntry:
    action, result = shorten(entry.action, _BRIEF_ACTION_CHARS), entry.brief or entry.result
    return entry.model_copy(update={"action": action, "result": result, "brief": ""})


def _size(entry: LedgerEntry) -> int:
    return len(line(entry).encode()) + 1
