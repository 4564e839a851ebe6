"""The steps of a run, and the time that they took, read from its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from deepagent.actions import Action, Observation
from deepagent.runs.events import (
    Event,
    Intended,
    Observed,
    Performed,
    Recorded,
    Replied,
    Resumed,
    ToolCalled,
    ToolReturned,
)


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


def beginning_of(events: Sequence[Event], step: int) -> int | None:
    """Where the reply begins that led to a step."""
    began: dict[int, int] = {}
    reply = None
    for position, event in enumerate(events):
        if isinstance(event, Replied):
            reply = began.setdefault(event.step, position)
        elif isinstance(event, Intended) and reply is not None:
            began.setdefault(event.step, reply)
    intended = {event.step for event in events if isinstance(event, Intended)}
    return began[step] if step in intended else None


def elapsed(recorded: Sequence[Recorded]) -> float:
    """Seconds of work, process by process: within one, time never goes back."""
    total, began, last = 0.0, None, 0.0
    for one in recorded:
        if began is None or isinstance(one.event, Resumed):
            total, began = total + last - (began or last), one.at
        last = one.at
    return total + last - (began or last)
