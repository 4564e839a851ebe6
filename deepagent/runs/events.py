"""The events of a run: versioned, immutable, and enough to rebuild everything.

The order within one step is fixed: `Replied`, then `Intended` before the action has any effect, then `Observed`. Tool
calls that code makes while it runs are bracketed by `ToolCalled` and `ToolReturned`. `Folded` and the `WindowOpened`
that follows it are written together, so a fold has happened or it has not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from deepagent.actions import Action, Frozen, Observation
from deepagent.models.base import Generated, Usage
from deepagent.transcript import Function, Message, Segment

VERSION = 1

Status = Literal["answered", "forced", "limit", "truncated", "failed", "interrupted"]
"""How a run ended: with its own answer; with one asked for at a limit; at a limit without one; without one because
the window could not hold the task any more; by a broken model, sandbox or disk; by the user."""


class Started(Frozen):
    """The run began.

    Attributes:
        run: its id.
        version: of the event format.
        settings: the agent's settings as JSON, for the record.
        benchmark: id of the benchmark task that this run solves, if any.
    """

    kind: Literal["started"] = "started"
    run: str
    version: int = VERSION
    task: str
    model: str
    context: int
    settings: dict[str, Any]
    benchmark: str | None = None


class WindowOpened(Frozen):
    """A window began: the first one, or the one after a fold (which opens with the memory as its second segment)."""

    kind: Literal["window_opened"] = "window_opened"
    number: int
    messages: tuple[Message, ...]
    segments: tuple[Segment, ...]
    functions: tuple[Function, ...] = ()


class Replied(Frozen):
    """The model wrote something. A step has several of these when a reply had to be continued."""

    kind: Literal["replied"] = "replied"
    step: int
    generated: Generated


class Intended(Frozen):
    """The reply was read; this is about to be done."""

    kind: Literal["intended"] = "intended"
    step: int
    thought: str
    action: Action


class ToolCalled(Frozen):
    """Code is about to call a tool."""

    kind: Literal["tool_called"] = "tool_called"
    step: int
    call: int
    name: str
    arguments: dict[str, Any]


class ToolReturned(Frozen):
    """What that call led to."""

    kind: Literal["tool_returned"] = "tool_returned"
    step: int
    call: int
    result: str
    error: str | None = None
    simulated: bool = False
    """Whether a model made the result up."""


class Observed(Frozen):
    """What the action led to, and the text that was appended to the stream for it.

    Attributes:
        dropped: what the model wrote in this step was left out of the stream.
    """

    kind: Literal["observed"] = "observed"
    step: int
    observation: Observation
    segment: Segment
    seconds: float
    dropped: bool = False


class Noticed(Frozen):
    """The agent told the model something unasked, such as that a limit is reached."""

    kind: Literal["noticed"] = "noticed"
    text: str
    segment: Segment


class FoldBegan(Frozen):
    """History is about to be compressed, which takes a while; nothing changes before `Folded`."""

    kind: Literal["fold_began"] = "fold_began"
    reason: str
    tokens: int


class Folded(Frozen):
    """History was compressed.

    Attributes:
        memory: `deepagent.memory.schema.Memory` as JSON.
        before: tokens of the window that was left.
        after: tokens of the window that opens with the memory.
        problems: what the auxiliary model got wrong and how it was mended, in words.
    """

    kind: Literal["folded"] = "folded"
    number: int
    reason: str
    memory: dict[str, Any]
    before: int
    after: int
    usage: Usage
    seconds: float
    problems: tuple[str, ...] = ()


class Ended(Frozen):
    """The run is over."""

    kind: Literal["ended"] = "ended"
    status: Status
    answer: str | None = None
    reason: str
    usage: Usage
    steps: int
    folds: int
    seconds: float


Event = Annotated[
    Started
    | WindowOpened
    | Replied
    | Intended
    | ToolCalled
    | ToolReturned
    | Observed
    | Noticed
    | FoldBegan
    | Folded
    | Ended,
    Field(discriminator="kind"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Recorded(Frozen):
    """An event as it stands in the log.

    Attributes:
        sequence: position within the run, from 1, without gaps.
        at: UTC time, seconds since the epoch.
    """

    sequence: int
    at: float
    event: Event
