"""The steps of a run, read from its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from deepagent.actions import Action, Observation
from deepagent.runs.events import Event, Intended, Observed, Performed, ToolCalled, ToolReturned


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


class Steps:
    """Steps in the making: hears events in order, and holds the steps that they tell of until it is cleared."""

    def __init__(self) -> None:
        self._found: dict[int, Step] = {}

    def hear(self, event: Event) -> None:
        """Take in one event; outcomes of steps that are not held are passed over."""
        if isinstance(event, Intended):
            self._found[event.step] = Step(event.step, event.thought, event.action)
        elif isinstance(event, Performed | Observed | ToolCalled | ToolReturned) and event.step in self._found:
            step = self._found[event.step]
            if isinstance(event, Performed | Observed):
                step.observation = event.observation
            elif isinstance(event, ToolCalled):
                step.uses.append(ToolUse(event))
            else:
                next(use for use in step.uses if use.called.call == event.call).returned = event

    def take(self, number: int) -> Step | None:
        """Let go of one step, and give it."""
        return self._found.pop(number, None)

    def clear(self) -> None:
        """Let go of all steps."""
        self._found.clear()

    @property
    def held(self) -> list[Step]:
        """The steps, in order."""
        return list(self._found.values())


def steps(events: Iterable[Event]) -> list[Step]:
    """Group events into steps, in order."""
    found = Steps()
    for event in events:
        found.hear(event)
    return found.held
