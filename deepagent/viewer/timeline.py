"""A run as the page tells it: its events gathered into entries, one after another.

A timeline grows with the log, event by event, so that a run is followed at the cost of what is new.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from deepagent.actions import Action, Observation
from deepagent.models.base import Usage
from deepagent.runs.events import (
    ApprovalAsked,
    ApprovalGiven,
    Ended,
    FoldBegan,
    Folded,
    Intended,
    Noticed,
    Observed,
    Performed,
    Recorded,
    Replied,
    Resumed,
    Started,
    ToolCalled,
    ToolReturned,
    WindowOpened,
)

EntryKind = Literal["step", "fold", "window", "notice", "other"]


@dataclass(frozen=True)
class Said:
    """A text that a model or a tool wrote.

    Attributes:
        source: where all of it can be read, below the run's own address.
    """

    text: str
    source: str


@dataclass
class Use:
    """A tool call that code made, by its number among those of the step."""

    call: int
    name: str
    arguments: dict[str, Any]
    result: Said | None = None
    error: str | None = None
    artifact: str | None = None
    simulated: bool = False


@dataclass
class Approval:
    """A tool call that waits for a yes, or got its answer.

    Attributes:
        call: its number among those that the step's code makes; 0 where the step is the call.
        by: who decided.
    """

    call: int
    tool: str
    arguments: dict[str, Any]
    approved: bool | None = None
    by: str = ""


@dataclass
class Entry:
    """Something on the timeline.

    Attributes:
        anchor: its name within the page, such as `step-12`.
        at: when it began, seconds since the epoch.
        touched: sequence of the event that changed it last.
        index: its place on the timeline, from 0.
    """

    kind: EntryKind
    anchor: str
    at: float
    touched: int
    index: int

    def texts(self) -> Iterable[str]:
        """All that can be searched for."""
        return ()


@dataclass
class StepEntry(Entry):
    """One action, the thought before it and what it led to.

    Attributes:
        usage: tokens of the model's replies that led to it.
        thinking: seconds that the model took.
        dropped: what the model wrote was left out of the stream.
        written: the replies as the model wrote them.
    """

    number: int = 0
    thought: Said | None = None
    action: Action | None = None
    argument: Said | None = None
    observation: Observation | None = None
    result: Said | None = None
    uses: list[Use] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    thinking: float = 0.0
    seconds: float | None = None
    dropped: bool = False
    written: list[Said] = field(default_factory=list)

    def texts(self) -> Iterable[str]:
        """Thought, action, result, and what code called."""
        for said in (self.thought, self.argument, self.result, *(use.result for use in self.uses)):
            if said is not None:
                yield said.text
        for use in self.uses:
            yield use.name
        if self.observation is not None:
            yield from (found.name for found in self.observation.found)


@dataclass
class FoldEntry(Entry):
    """History was compressed; `before` is the memory of the fold before this one."""

    folded: Folded | None = None
    before: dict[str, Any] | None = None

    def texts(self) -> Iterable[str]:
        """The memory as it stands."""
        return () if self.folded is None else (json.dumps(self.folded.memory, ensure_ascii=False),)


@dataclass
class WindowEntry(Entry):
    """A window opened."""

    number: int = 0
    tokens: int = 0
    opening: Said | None = None


@dataclass
class NoticeEntry(Entry):
    """Something besides the steps, in one line."""

    label: str = ""
    text: str = ""

    def texts(self) -> Iterable[str]:
        """What it says."""
        return (self.text,)


class Timeline:
    """A run's entries.

    Attributes:
        sequence: of the last event that was added.
        started: the first event, once it is there.
        ended: how the run ended, if it did.
        folding: why history is being folded right now, or None.
        usage: tokens of all replies and folds so far.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.sequence = 0
        self.entries: list[Entry] = []
        self.started: Started | None = None
        self.ended: Ended | None = None
        self.folding: str | None = None
        self.began = self.last = 0.0
        self.usage = Usage()
        self._steps: dict[int, StepEntry] = {}
        self._texts: dict[str, str] = {}

    @property
    def steps(self) -> list[StepEntry]:
        """The steps, in order."""
        return list(self._steps.values())

    @property
    def folds(self) -> list[FoldEntry]:
        """The folds, in order."""
        return [entry for entry in self.entries if isinstance(entry, FoldEntry)]

    @property
    def seconds(self) -> float:
        """From the first event to the last one, or as the run itself counted."""
        return self.ended.seconds if self.ended else self.last - self.began

    def text(self, source: str) -> str | None:
        """The whole text that stands at a source."""
        return self._texts.get(source)

    def add(self, recorded: Recorded) -> None:
        """Take in the next event: each kind has a method of its name."""
        self.sequence = recorded.sequence
        self.began = self.began or recorded.at
        self.last = recorded.at
        event: Any = recorded.event
        getattr(self, f"_{event.kind}", self._unknown)(recorded, event)

    def _said(self, recorded: Recorded, name: str, text: str) -> Said:
        source = f"text/{recorded.sequence}/{name}"
        self._texts[source] = text
        return Said(text, source)

    def _place(self, recorded: Recorded, kind: EntryKind, anchor: str) -> dict[str, Any]:
        """The fields that every new entry has."""
        return {
            "kind": kind, "anchor": anchor, "at": recorded.at,
            "touched": recorded.sequence, "index": len(self.entries),
        }  # fmt: skip

    def _notice(self, recorded: Recorded, label: str, text: str) -> None:
        place = self._place(recorded, "notice", f"note-{len(self.entries)}")
        self.entries.append(NoticeEntry(**place, label=label, text=text))

    def _step(self, recorded: Recorded, number: int) -> StepEntry:
        """The step of this number, which the event changes."""
        step = self._steps.get(number)
        if step is None:
            step = StepEntry(**self._place(recorded, "step", f"step-{number}"), number=number)
            self._steps[number] = step
            self.entries.append(step)
        step.touched = recorded.sequence
        return step

    def _started(self, recorded: Recorded, event: Started) -> None:
        self.started = event
        self._said(recorded, "task", event.task)

    def _window_opened(self, recorded: Recorded, event: WindowOpened) -> None:
        text = "".join(segment.text for segment in event.segments)
        self.entries.append(
            WindowEntry(
                **self._place(recorded, "window", f"window-{event.number}"),
                number=event.number,
                tokens=sum(segment.tokens for segment in event.segments),
                opening=self._said(recorded, "opening", text),
            )
        )

    def _replied(self, recorded: Recorded, event: Replied) -> None:
        step = self._step(recorded, event.step)
        step.usage += event.generated.usage
        step.thinking += event.generated.seconds
        self.usage += event.generated.usage
        segment = event.generated.segment
        text = segment.message.text if segment.message else segment.text
        step.written.append(self._said(recorded, "written", text))

    def _intended(self, recorded: Recorded, event: Intended) -> None:
        step = self._step(recorded, event.step)
        step.action = event.action
        if event.thought:
            step.thought = self._said(recorded, "thought", event.thought)
        step.argument = self._said(recorded, "action", argument(event.action))

    def _tool_called(self, recorded: Recorded, event: ToolCalled) -> None:
        self._step(recorded, event.step).uses.append(Use(event.call, event.name, event.arguments))

    def _tool_returned(self, recorded: Recorded, event: ToolReturned) -> None:
        for use in reversed(self._step(recorded, event.step).uses):
            if use.call == event.call:
                use.result, use.error = self._said(recorded, "result", event.result), event.error
                use.artifact, use.simulated = event.artifact, event.simulated
                return

    def _approval_asked(self, recorded: Recorded, event: ApprovalAsked) -> None:
        approvals = self._step(recorded, event.step).approvals
        if all(known.call != event.call for known in approvals):  # a run that is resumed asks again
            approvals.append(Approval(event.call, event.tool, event.arguments))

    def _approval_given(self, recorded: Recorded, event: ApprovalGiven) -> None:
        for asked in self._step(recorded, event.step).approvals:
            if asked.call == event.call:
                asked.approved, asked.by = event.approved, event.by

    def _performed(self, recorded: Recorded, event: Performed) -> None:
        step = self._step(recorded, event.step)  # `Observed` says it again, unless the run was interrupted
        step.observation, step.seconds = event.observation, event.seconds
        step.result = self._said(recorded, "observation", event.observation.text)

    def _observed(self, recorded: Recorded, event: Observed) -> None:
        step = self._step(recorded, event.step)
        step.observation, step.seconds, step.dropped = event.observation, event.seconds, event.dropped
        step.result = self._said(recorded, "observation", event.observation.text)

    def _noticed(self, recorded: Recorded, event: Noticed) -> None:
        self._notice(recorded, "limit", event.text)

    def _fold_began(self, recorded: Recorded, event: FoldBegan) -> None:
        self.folding = event.reason

    def _folded(self, recorded: Recorded, event: Folded) -> None:
        earlier = self.folds
        before = earlier[-1].folded if earlier else None
        self.folding = None
        self.usage += event.usage
        self.entries.append(
            FoldEntry(
                **self._place(recorded, "fold", f"fold-{event.number}"),
                folded=event,
                before=before.memory if before else None,
            )
        )

    def _ended(self, recorded: Recorded, event: Ended) -> None:
        self.ended = event
        self._said(recorded, "answer", event.answer or "")

    def _resumed(self, recorded: Recorded, event: Resumed) -> None:
        if self.ended is not None:
            self._notice(recorded, self.ended.status, self.ended.reason)
        self.ended = self.folding = None
        count = len(event.rebuilt)
        cells = f"; {count} cell{'s were' if count > 1 else ' was'} run again for the variables" if count else ""
        self._notice(recorded, "resumed", f"with {event.model}{cells}")

    def _unknown(self, recorded: Recorded, event: Any) -> None:
        """An event of a kind that the page does not tell more of."""
        self._notice(recorded, event.kind.replace("_", " "), "")


def argument(action: Action) -> str:
    """What an action is about, as one text."""
    if action.kind == "call":
        return json.dumps(action.arguments, ensure_ascii=False, indent=2)
    texts = {"search": "query", "execute": "code", "answer": "text", "malformed": "problem", "fold": "reason"}
    return str(getattr(action, texts[action.kind]))
