"""What each step of a run used, as CSV: one line a step, one heading."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from deepagent.actions import Call
from deepagent.models.base import Usage
from deepagent.runs.events import Folded, Intended, Observed, Recorded, Replied, Started

COLUMNS = (
    "run", "model", "step", "action", "tool", "error", "prompt_tokens", "cached_tokens", "completion_tokens",
    "estimated", "model_seconds", "action_seconds",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(events: Sequence[Recorded]) -> Iterator[str]:
    """The heading, then the steps and folds of a run in order."""
    yield _line(COLUMNS)
    run = model = ""
    rows: dict[object, dict[str, Any]] = {}
    for recorded in events:
        event = recorded.event
        if isinstance(event, Started):
            run, model = event.run, event.model
        elif isinstance(event, Replied):
            row = rows.setdefault(event.step, {"step": event.step, "usage": Usage(), "model_seconds": 0.0})
            row["usage"] += event.generated.usage
            row["model_seconds"] += event.generated.seconds
        elif isinstance(event, Intended):
            row = rows.setdefault(event.step, {"step": event.step})
            row |= {"action": event.action.kind, "tool": event.action.name if isinstance(event.action, Call) else ""}
        elif isinstance(event, Observed):
            row = rows.setdefault(event.step, {"step": event.step})
            row |= {"error": event.observation.error or "", "action_seconds": event.seconds}
        elif isinstance(event, Folded):
            rows[f"fold {event.number}"] = {"action": "fold", "usage": event.usage, "model_seconds": event.seconds}
    for row in rows.values():
        usage: Usage | None = row.pop("usage", None)
        counted = usage.model_dump() if usage else {}
        yield _line([({"run": run, "model": model} | row | counted).get(column, "") for column in COLUMNS])


def _line(values: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([_harmless(value) for value in values])
    return out.getvalue()


def _harmless(value: object) -> object:
    """A text that no spreadsheet reads as a formula: models choose the names of tools."""
    if isinstance(value, float):
        return round(value, 3)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
