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
_BRIEF_ACTION_CHARS = 70
_BRIEF_RESULT_CHARS = 110
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
        action, result = describe(step.action), _compact(step, topic)
        about = len(topic.intersection(words(f"{action} {result}")))
        made.append(LedgerEntry(step=step.number, action=action, result=result, ok=step.observation.ok, about=about))
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

    Half of the room is for the newest, as they are. The rest is for the most cited of the others, then those that
    have most to do with the task, then the newest again; these are kept in brief.
    """
    if sum(map(_size, ledger)) <= limit:
        return tuple(ledger)
    chosen: list[LedgerEntry] = []
    used = 0
    for entry in reversed(ledger):
        size = _size(entry)
        if used + size > limit / 2:
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
        return shorten(f"call {action.name}({json.dumps(action.arguments, ensure_ascii=False)})", _ACTION_CHARS)
    if isinstance(action, Execute):
        lines = "; ".join(line.strip() for line in action.code[:_LONGEST].splitlines() if line.strip())
        return shorten(f"execute {lines}", _ACTION_CHARS)
    return action.kind


def shorten(text: str, limit: int) -> str:
    """Text on one line, its middle left out when it is longer than the limit in characters."""
    text = one_line(text)
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[:half]}...{text[-half:]}"


def gist(text: str, limit: int, topic: frozenset[str]) -> str:
    """The pieces of a text that say most, in their order, within `limit` characters.

    What shares words with the topic says most, then what holds numbers, then what comes first.
    """
    if len(text) <= limit:
        return one_line(text)
    pieces = [piece for piece in map(one_line, _PIECE.split(text[:_LONGEST])) if piece]
    ranked = sorted(
        range(len(pieces)),
        key=lambda at: (-len(topic.intersection(words(pieces[at]))), not re.search(r"\d", pieces[at]), at),
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
        told += [pieces[at]] if at == 0 or at - 1 in chosen else ["...", pieces[at]]
    return " ".join(told if len(pieces) - 1 in chosen else [*told, "..."])


def _compact(step: Step, topic: frozenset[str]) -> str:
    observation = step.observation
    if observation is None:
        return ""
    if isinstance(step.action, Search) and observation.found:
        return shorten("found " + ", ".join(tool.name for tool in observation.found), _RESULT_CHARS)
    prefix = f"[{observation.error}] " if observation.error else ""
    whole = f' (whole: recall(id="{observation.artifact}"))' if observation.artifact else ""
    return prefix + gist(observation.text, _RESULT_CHARS, topic) + whole


def _brief(entry: LedgerEntry) -> LedgerEntry:
    return entry.model_copy(
        update={
            "action": shorten(entry.action, _BRIEF_ACTION_CHARS),
            "result": shorten(entry.result, _BRIEF_RESULT_CHARS),
        }
    )


def _size(entry: LedgerEntry) -> int:
    return len(line(entry).encode()) + 1
