"""All that a model can do, and what comes back.

An action is what the model decides at one step; an observation is what the agent appends in return.
How an action is spelled in text is the business of `deepagent.dialects`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of all values that are written to the log: immutable, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Search(Frozen):
    """Look for tools by what they should do."""

    kind: Literal["search"] = "search"
    query: str


class Call(Frozen):
    """Call one tool with JSON arguments."""

    kind: Literal["call"] = "call"
    name: str
    arguments: dict[str, Any]


class Execute(Frozen):
    """Run Python in the sandbox; found tools are plain functions there."""

    kind: Literal["execute"] = "execute"
    code: str


class Fold(Frozen):
    """Compress the history into memory and go on in a new window."""

    kind: Literal["fold"] = "fold"
    reason: Literal["asked", "window"] = "asked"


class Answer(Frozen):
    """End the run with an answer."""

    kind: Literal["answer"] = "answer"
    text: str


class Malformed(Frozen):
    """The reply holds no readable action. Not the model's intent, but still a step that is answered."""

    kind: Literal["malformed"] = "malformed"
    problem: str


Action = Annotated[Search | Call | Execute | Fold | Answer | Malformed, Field(discriminator="kind")]


class Found(Frozen):
    """A tool that a search found, with its fused score and the two scores behind it."""

    name: str
    score: float
    dense: float
    lexical: float


UNTRIED, UNSEEN, PARTIAL = "untried", "unseen", "partial"
"""Errors of answers that are doubted: no tool was used, a number in them stands nowhere, they cover a part only."""


class Observation(Frozen):
    """What an action led to.

    Attributes:
        text: what the model reads, already cut to its limit.
        error: the kind of failure (`deepagent.errors.ToolError.kind`, or the sandbox's), or None.
        artifact: id under which the full result is kept when `text` is only a part of it.
        found: tools that a search brought into reach, best first.
        repeats: the earlier step that did exactly this with exactly this result.
        answer: the answer to the task that code gave.
        simulated: a model made the result up, in the place of a tool.
        restarted: the interpreter was lost, and with it the variables of earlier code.
    """

    text: str
    error: str | None = None
    artifact: str | None = None
    found: tuple[Found, ...] = ()
    repeats: int | None = None
    answer: str | None = None
    simulated: bool = False
    restarted: bool = False

    @property
    def ok(self) -> bool:
        """Whether the action did what it was meant to do."""
        return self.error is None
