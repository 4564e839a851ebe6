"""The events of a run: versioned, immutable, and enough to rebuild everything.

The order within one step is fixed: `Replied`, then `Intended` before the action has any effect, then `Observed`. Tool
calls that code makes while it runs are bracketed by `ToolCalled` and `ToolReturned`. `Folded` and the `WindowOpened`
that follows it are written together, so a fold has happened or it has not.

A run that ended without an answer, or whose process died, may be resumed: `Resumed` follows, and everything goes on.
So a log can hold several `Ended`; the last one counts, if nothing follows it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from deepagent.actions import Action, Frozen, Observation
from deepagent.models.base import Generated, Usage
from deepagent.transcript import Function, Message, Segment

VERSION = 2

Status = Literal["answered", "forced", "limit", "truncated", "stuck", "failed", "interrupted", "waiting"]
"""How a run ended: with its own answer; with one asked for at a limit; at a limit without one; without one because
the window could not hold the task any more; without one because even folding led nowhere; by a broken model, sandbox
or disk; by the user; by the user while a tool call waited for approval."""


class Sources(Frozen):
    """What the agent was made of, as far as it has names: what resuming from the command line needs.

    Attributes:
        model: the name of the main model, or None where it was given as an object.
        auxiliary: of the auxiliary model.
        vision: of the model that looks at images.
        tools: names or settings of the tool sources; those that were given as objects are left out.
    """

    model: str | None = None
    auxiliary: str | None = None
    vision: str | None = None
    tools: tuple[str | dict[str, Any], ...] = ()


class Started(Frozen):
    """The run began.

    Attributes:
        run: its id.
        version: of the event format.
        settings: the agent's settings as JSON, for the record.
        benchmark: id of the benchmark task that this run solves, if any.
        sources: where model and tools came from.
        parent: the run that this one is a fork of.
        forked_at: the first step that is its own.
    """

    kind: Literal["started"] = "started"
    run: str
    version: int = VERSION
    task: str
    model: str
    context: int
    settings: dict[str, Any]
    benchmark: str | None = None
    sources: Sources = Sources()
    parent: str | None = None
    forked_at: int | None = None


class Resumed(Frozen):
    """The run goes on in another process, or after it had ended.

    What was asked of the model at a limit is not part of the stream any more.

    Attributes:
        settings: the agent's settings from here on.
        sources: where model and tools come from from here on; None in logs of versions that did not say so.
        rebuilt: steps whose code was run again, with the recorded results of its tool calls, to bring the
            interpreter's variables back.
        diverged: those of them that printed something else than before, and those that were not run again because
            they had not ended.
    """

    kind: Literal["resumed"] = "resumed"
    version: int = VERSION
    model: str
    context: int
    settings: dict[str, Any]
    sources: Sources | None = None
    rebuilt: tuple[int, ...] = ()
    diverged: tuple[int, ...] = ()


class WindowOpened(Frozen):
    """A window began: the first one, or the one after a fold (which opens with the memory as its second segment).

    Attributes:
        begun: what the first reply is made to begin with; it is the last segment then.
    """

    kind: Literal["window_opened"] = "window_opened"
    number: int
    messages: tuple[Message, ...]
    segments: tuple[Segment, ...]
    functions: tuple[Function, ...] = ()
    begun: str = ""


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
    """What that call led to.

    Attributes:
        result: as text, cut to what the stream has room for; the whole is kept then.
        artifact: id under which it is kept; logs of format 1 do not say it, it is `r{step}.{call}`.
        structured: whether the tool gave a JSON value, of which the text is the spelling; logs of format 1 do not say.
        found: tools that it brought into reach.
        simulated: whether a model made the result up.
    """

    kind: Literal["tool_returned"] = "tool_returned"
    step: int
    call: int
    result: str
    error: str | None = None
    artifact: str | None = None
    structured: bool | None = None
    found: tuple[str, ...] = ()
    simulated: bool = False


class ApprovalAsked(Frozen):
    """A tool call waits for a yes; it has had no effect yet.

    Attributes:
        call: number of the call among those that the step's code makes; 0 where the step is the call.
    """

    kind: Literal["approval_asked"] = "approval_asked"
    step: int
    call: int = 0
    tool: str
    arguments: dict[str, Any]


class ApprovalGiven(Frozen):
    """The answer to that.

    Attributes:
        by: who gave it, such as `terminal`, `page` or `callback`.
    """

    kind: Literal["approval_given"] = "approval_given"
    step: int
    call: int = 0
    approved: bool
    by: str


class Performed(Frozen):
    """What an action led to, known before it can be shown: one of several at a time, or one with an effect.

    `Observed` says it again, with the text that is appended to the stream for it.
    """

    kind: Literal["performed"] = "performed"
    step: int
    observation: Observation
    seconds: float


class Observed(Frozen):
    """What the action led to, and the text that was appended to the stream for it.

    Attributes:
        dropped: what the model wrote in this step was left out of the stream.
        begun: what the next reply is made to begin with; it is the end of the segment.
        idle: steps in a row, this one included, that brought nothing new.
        failing: steps in a row, this one included, that failed or brought nothing new.
    """

    kind: Literal["observed"] = "observed"
    step: int
    observation: Observation
    segment: Segment
    seconds: float
    dropped: bool = False
    begun: str = ""
    idle: int = 0
    failing: int = 0


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
        progress: steps since the fold before that succeeded; None where an older version did not count them.
        problems: what the auxiliary model got wrong and how it was mended, in words.
    """

    kind: Literal["folded"] = "folded"
    number: int
    reason: str
    memory: dict[str, Any]
    before: int
    after: int
    progress: int | None = None
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
    | Resumed
    | WindowOpened
    | Replied
    | Intended
    | ToolCalled
    | ToolReturned
    | ApprovalAsked
    | ApprovalGiven
    | Performed
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
