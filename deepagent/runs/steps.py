"""The steps of a run, read from its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from deepagent.actions import Action, Observation
from deepagent.runs.events import Event, Intended, Observed, ToolCalled, ToolReturned


@dataclass
class ToolUse:
    """One tool call that code made."""

    called: ToolCalled
    returned: ToolReturned | None = None


@dataclass
class Step:
    """One action and what it led to; no observation when the run ended in between."""

    number: int
    thought: str
    action: Action
    observation: Observation | None = None
    uses: list[ToolUse] = field(default_factory=list)


def steps(events: Iterable[Event]) -> list[Step]:
    """Group events into steps, in order."""
    found: dict[int, Step] = {}
    for event in events:
        if isinstance(event, Intended):
            found[event.step] = Step(event.step, event.thought, event.action)
        elif isinstance(event, Observed):
            found[event.step].observation = event.observation
        elif isinstance(event, ToolCalled):
            found[event.step].uses.append(ToolUse(event))
        elif isinstance(event, ToolReturned):
            next(use for use in found[event.step].uses if use.called.call == event.call).returned = event
    return list(found.values())
