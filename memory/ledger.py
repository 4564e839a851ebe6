"""What the log knows of the steps so far, without asking any model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from deepagent.actions import Action, Call, Execute, Search
from deepagent.errors import UnknownToolError
from deepagent.memory.schema import LedgerEntry, ToolRecord
from deepagent.runs.steps import Step

_ACTION_CHARS = 160
_RESULT_CHARS = 240


def ledger(steps: Sequence[Step]) -> tuple[LedgerEntry, ...]:
    """One entry per finished step: what was done and a compact result."""
    return tuple(
        LedgerEntry(
            step=step.number,
            action=describe(step.action),
            result=_compact(step),
            ok=step.observation.ok,
        )
        for step in steps
        if step.observation is not None and telling(step)
    )


def telling(step: Step) -> bool:
    """Whether a step says something: it acted, and was not the repetition of an earlier one."""
    if step.action.kind in ("fold", "answer", "malformed"):
        return False
    return step.observation is None or step.observation.repeats is None


def describe(action: Action) -> str:
    """An action on one line."""
    if isinstance(action, Search):
        return shorten(f"search {action.query!r}", _ACTION_CHARS)
    if isinstance(action, Call):
        return shorten(f"call {action.name}({json.dumps(action.arguments, ensure_ascii=False)})", _ACTION_CHARS)
    if isinstance(action, Execute):
        lines = "; ".join(line.strip() for line in action.code.splitlines() if line.strip())
        return shorten(f"execute {lines}", _ACTION_CHARS)
    return action.kind


def tool_records(steps: Sequence[Step], words: Mapping[str, tuple[str, str]]) -> tuple[ToolRecord, ...]:
    """Success rates, error kinds and parameters that worked, counted.

    Args:
        steps: all steps of the run.
        words: what the model says of each tool: response pattern and experience. Of tools never called, it is dropped.
    """
    used: dict[str, list[tuple[dict[str, object], str | None]]] = {}
    for step in steps:
        observation = step.observation
        if isinstance(step.action, Call) and observation is not None and observation.error != UnknownToolError.kind:
            used.setdefault(step.action.name, []).append((step.action.arguments, observation.error))
        for use in step.uses:
            if use.returned is not None:
                used.setdefault(use.called.name, []).append((use.called.arguments, use.returned.error))
    records = []
    for name, calls in used.items():
        worked = [arguments for arguments, error in calls if error is None]
        errors = Counter(error for _, error in calls if error is not None)
        pattern, experience = words.get(name, ("", ""))
        records.append(
            ToolRecord(
                tool_name=name,
                calls=len(calls),
                success_rate=round(len(worked) / len(calls), 3),
                effective_parameters=tuple(dict.fromkeys(key for arguments in worked for key in arguments)),
                common_errors=tuple(f"{kind} x{count}" for kind, count in errors.most_common(3)),
                response_pattern=pattern,
                experience=experience,
            )
        )
    return tuple(records)


def shorten(text: str, limit: int) -> str:
    """Text on one line, its middle left out when it is longer than the limit in characters."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    half = (limit - 3) // 2
    return f"{line[:half]}...{line[-half:]}"


def _compact(step: Step) -> str:
    observation = step.observation
    if observation is None:
        return ""
    if isinstance(step.action, Search) and observation.found:
        return "found " + ", ".join(tool.name for tool in observation.found)
    prefix = f"[{observation.error}] " if observation.error else ""
    return prefix + shorten(observation.text, _RESULT_CHARS)
