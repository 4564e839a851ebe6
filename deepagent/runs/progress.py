"""Where a run stands, as its log alone says: what resuming, forking and replaying start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepagent.actions import (
    PARTIAL,
    UNSEEN,
    UNTRIED,
    Action,
    Answer,
    Call,
    Execute,
    Found,
    Malformed,
    Observation,
    Search,
)
from deepagent.models.base import Generated, Usage
from deepagent.runs.events import (
    ApprovalAsked,
    ApprovalGiven,
    Ended,
    Event,
    Folded,
    Intended,
    Noticed,
    Observed,
    Performed,
    Replied,
    Resumed,
    Started,
    ToolCalled,
    ToolReturned,
    WindowOpened,
)
from deepagent.transcript import Segment, Window

Asked = tuple[int, int]
"""A tool call: its step, and its number among the calls of the step's code."""


@dataclass
class Pending:
    """A reply that is not dealt with to the end.

    Attributes:
        first: its first step.
        parts: what the model wrote.
        intended: what it asks for; empty where that was not read yet.
        performed: what is known to have come of it, without having been shown to the model.
        observed: steps that are in the stream already.
    """

    first: int
    parts: list[Generated] = field(default_factory=list)
    intended: dict[int, Action] = field(default_factory=dict)
    performed: dict[int, tuple[Observation, float]] = field(default_factory=dict)
    observed: set[int] = field(default_factory=set)

    @property
    def segments(self) -> list[Segment]:
        """What the model wrote, as pieces of the stream."""
        return [part.segment for part in self.parts]


@dataclass
class LooseEnd:
    """What was begun and came to nothing yet: a search whose tools were not used, a call or code that failed.

    Also what an answer lacked: that a tool is used, that its numbers are computed, that it covers all parts.

    Attributes:
        action: the search, call or code; None: there is nothing.
        faltered: whether the model ever wrote no action where it should have used what a search had found.
    """

    action: Action | None = None
    faltered: bool = False

    def take(self, action: Action, observation: Observation) -> None:
        """Go on by one action and what came of it."""
        if isinstance(action, Malformed):
            self.faltered = self.faltered or isinstance(self.action, Search)
        elif observation.found:
            if not self._mends(observation.found[0].name):
                self.action = action if isinstance(action, Search) else Search(query="")
        elif isinstance(action, Call | Execute):
            self.action = None if observation.ok or observation.repeats is not None else action
        elif isinstance(action, Search):
            self.action = None
        elif observation.error == UNTRIED:
            self.action = Search(query="")
        elif observation.error == UNSEEN:
            self.action = Execute(code="")
        elif observation.error == PARTIAL:
            self.action = action

    def _mends(self, best: str) -> bool:
        """Whether the tool that fits best is the one whose call failed: that call is mended first."""
        return isinstance(self.action, Call) and self.action.name == best

    def picked_up(self, action: Action, observation: Observation) -> Action | None:
        """The loose end, where the next reply is made to go on from it.

        That is after a reply without an action, an answer that was not taken, the same search again, and after every
        search once the model has faltered.
        """
        if isinstance(action, Search):
            wanted = observation.repeats is not None or self.faltered
        else:
            wanted = isinstance(action, Malformed | Answer) and not observation.ok
        return self.action if wanted else None


class Progress:
    """The state of a run after each event of its log.

    Attributes:
        started: the first event.
        model: name of the model that works on the run now.
        windows: all that were opened, without the reply that is pending.
        pending: the reply that is not dealt with to the end, if any.
        begun: what the next reply is made to begin with.
        actions: steps so far.
        folds: so far.
        usage: tokens so far.
        calls: tool calls that code made.
        idle: steps in a row that brought nothing new.
        seen: whether any action has brought more than tools.
        loose: what was begun and came to nothing yet.
        memory: what the last fold left, as JSON.
        failing: steps in a row that failed or brought nothing new.
        futile: folds in a row since the last step that succeeded.
        names: tools that were found or called, in order.
        found: tools that the last search brought.
        done: what each action of this window led to, by its JSON.
        searched: the steps of each query in this window.
        asked: tool calls that were put up for approval, and what was decided, or None.
        answer: the answer that code or the tools' world gave.
        ended: how it ended, unless it goes on.
        settled: whether no code has run since the files of the workspace were kept.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.started: Started | None = None
        self.model = ""
        self.pending: Pending | None = None
        self.begun = ""
        self.actions = self.folds = self.calls = self.idle = self.failing = self.futile = 0
        self.usage = Usage()
        self.seen = False
        self.loose = LooseEnd()
        self.memory: dict[str, Any] | None = None
        self.names: dict[str, None] = {}
        self.found: tuple[str, ...] = ()
        self.done: dict[str, tuple[int, Observation]] = {}
        self.searched: dict[str, list[int]] = {}
        self.asked: dict[Asked, bool | None] = {}
        self.answer: str | None = None
        self.ended: Ended | None = None
        self.settled = True
        self._opened: list[tuple[WindowOpened, list[Segment]]] = []
        self._before_notice: int | None = None  # length of the stream before an answer was demanded
        for event in events:
            self.take(event)

    @property
    def windows(self) -> list[Window]:
        """All windows, oldest first."""
        return [Window(opened.messages, stream, opened.functions) for opened, stream in self._opened]

    def prompt(self) -> Window:
        """What the model is sent next, or was sent for the reply that comes next in the log."""
        opened, stream = self._opened[-1]
        pending = self.pending.segments if self.pending and self._before_notice is None else []
        return Window(opened.messages, [*stream, *pending], opened.functions)

    def take(self, event: Event) -> None:
        """Go on by one event: each kind that changes the state has a method of its name."""
        if change := getattr(self, f"_{event.kind}", None):
            change(event)

    def _started(self, event: Started) -> None:
        self.started, self.model = event, event.model

    def _resumed(self, event: Resumed) -> None:
        self.model, self.ended = event.model, None
        if self._before_notice is not None:
            del self._opened[-1][1][self._before_notice :]
            self._before_notice = None

    def _window_opened(self, event: WindowOpened) -> None:
        self._opened.append((event, list(event.segments)))
        self.pending, self.begun = None, event.begun

    def _replied(self, event: Replied) -> None:
        self.usage += event.generated.usage
        if self._before_notice is not None:
            return  # the answer that was demanded at a limit
        if self.pending is None:
            self.pending = Pending(event.step)
        self.pending.parts.append(event.generated)

    def _intended(self, event: Intended) -> None:
        self.actions = max(self.actions, event.step)
        self.settled = self.settled and not isinstance(event.action, Execute)
        if self.pending is None:
            self.pending = Pending(event.step)
        self.pending.intended[event.step] = event.action

    def _performed(self, event: Performed) -> None:
        if self.pending is not None:
            self.pending.performed[event.step] = event.observation, event.seconds
            self._compare_later(event.step, self.pending.intended[event.step], event.observation)

    def _observed(self, event: Observed) -> None:
        pending = self.pending
        if pending is None:
            return
        stream, observation, action = self._opened[-1][1], event.observation, pending.intended[event.step]
        if not event.dropped and not pending.observed:
            stream.extend(pending.segments)
        stream.append(event.segment)
        pending.observed.add(event.step)
        self.begun, self.idle, self.failing = event.begun, event.idle, event.failing
        self.seen = self.seen or (observation.ok and not isinstance(action, Search))
        self.loose.take(action, observation)
        self.answer = observation.answer if self.answer is None else self.answer
        self._remember(event.step, action, observation)
        if pending.observed >= pending.intended.keys():
            self.pending = None

    def _remember(self, step: int, action: Action, observation: Observation) -> None:
        """What later steps are compared with, and the tools that came into reach."""
        self._compare_later(step, action, observation)
        if isinstance(action, Search):
            self.searched.setdefault(action.query, []).append(step)
        if isinstance(action, Call):
            self.names[action.name] = None
        if observation.found:
            self._bring(observation.found)

    def _compare_later(self, step: int, action: Action, observation: Observation) -> None:
        known = observation.error not in ("interrupted", "limit") and observation.repeats is None
        if known and not isinstance(action, Malformed):
            self.done[action.model_dump_json()] = step, observation

    def _bring(self, found: Sequence[Found | str]) -> None:
        self.found = tuple(one if isinstance(one, str) else one.name for one in found)
        self.names.update(dict.fromkeys(self.found))

    def _tool_called(self, event: ToolCalled) -> None:
        self.calls += 1

    def _tool_returned(self, event: ToolReturned) -> None:
        if event.found:
            self._bring(event.found)

    def _approval_asked(self, event: ApprovalAsked) -> None:
        self.asked[event.step, event.call] = None

    def _approval_given(self, event: ApprovalGiven) -> None:
        self.asked[event.step, event.call] = event.approved

    def _noticed(self, event: Noticed) -> None:
        stream = self._opened[-1][1]
        self._before_notice = len(stream)
        stream.append(event.segment)

    def _folded(self, event: Folded) -> None:
        self.folds += 1
        self.usage += event.usage
        self.memory = event.memory
        self.futile = self.futile + 1 if event.progress == 0 else 0
        self.done, self.searched = {}, {}

    def _ended(self, event: Ended) -> None:
        self.ended, self.settled = event, True


def prompts(events: Iterable[Event]) -> Iterator[tuple[int, Window]]:
    """Every prompt that was sent for a reply, with its step: byte for byte, and token for token, without a model."""
    progress = Progress()
    for event in events:
        if isinstance(event, Replied):
            yield event.step, progress.prompt()
        progress.take(event)
