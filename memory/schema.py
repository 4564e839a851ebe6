"""The paper's three memories (DeepAgent, arXiv 2510.21618, appendix C), and the ledger beneath them.

The model writes the narrative. What can be counted or copied is taken from the log instead: a small model's fold can be
valid JSON and still be wrong.

The limits on lengths are part of the schema that the model is held to: together they keep each memory under some 400
tokens, so that a reply is never cut in the middle, and a small model on a CPU folds in a minute rather than five.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, computed_field, model_validator

from deepagent.unseen import UNSEEN


def one_line(text: str) -> str:
    """Text on one line and without what is not seen, so that it cannot pose as another line of memory."""
    return " ".join(UNSEEN.sub(" ", text).split())


def _at_most(length: int) -> Any:
    """A limit that the JSON Schema states; what comes longer all the same is cut rather than refused."""

    def cut(value: Any) -> Any:
        if isinstance(value, str):
            value = one_line(value)
        return value[:length] if isinstance(value, str | list) else value

    return BeforeValidator(cut)


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


Line = Annotated[str, Field(max_length=120), _at_most(120)]
StepId = Annotated[str, Field(max_length=20), BeforeValidator(_number_as_text), _at_most(20)]


class _Memory(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class KeyEvent(_Memory):
    """One step that mattered."""

    step: StepId
    description: Line
    outcome: Line


class EpisodicMemory(_Memory):
    """What has been done so far, and how far the task has come."""

    task_description: Line
    key_events: tuple[KeyEvent, ...]
    current_progress: Line


class EpisodicNotes(EpisodicMemory):
    """What the model is asked for at one fold."""

    key_events: Annotated[tuple[KeyEvent, ...], Field(max_length=4), _at_most(4)]


class NextAction(_Memory):
    """Something planned."""

    type: Literal["tool_call", "planning", "decision"]
    description: Line


class WorkingMemory(_Memory):
    """What is being done right now."""

    immediate_goal: Line
    current_challenges: Line
    next_actions: Annotated[tuple[NextAction, ...], Field(max_length=2), _at_most(2)]


class ToolExperience(_Memory):
    """What the model says of one tool."""

    tool_name: Annotated[str, Field(max_length=100)]
    response_pattern: Line
    experience: Line


class Rule(_Memory):
    """Something that follows from steps, and from which ones."""

    rule: Line
    steps: Annotated[tuple[StepId, ...], Field(max_length=4), _at_most(4)]

    @model_validator(mode="before")
    @classmethod
    def _without_steps(cls, value: Any) -> Any:
        """Logs of format 1 hold rules as bare text."""
        return {"rule": value, "steps": ()} if isinstance(value, str) else value


class DerivedRule(Rule):
    """A rule as it is kept.

    Attributes:
        tools: those that its steps called, as the log says.
    """

    tools: tuple[str, ...] = ()


class ToolNotes(_Memory):
    """What the model is asked for; numbers are not its business."""

    tools_used: Annotated[tuple[ToolExperience, ...], Field(max_length=3), _at_most(3)]
    derived_rules: Annotated[tuple[Rule, ...], Field(max_length=3), _at_most(3)]


class ToolRecord(_Memory):
    """One tool as used in this run: the paper's fields, counts from the log, words from the model."""

    tool_name: str
    calls: int
    errors: dict[str, int] = Field(default_factory=dict)
    """How many calls failed, by kind of error."""
    last_error: str = ""
    """What the last call that failed was told."""
    effective_parameters: tuple[str, ...] = ()
    response_pattern: str = ""
    experience: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def success_rate(self) -> float:
        """Share of the calls that succeeded."""
        return round(1 - sum(self.errors.values()) / self.calls, 3) if self.calls else 0.0

    @property
    def common_errors(self) -> tuple[str, ...]:
        """The three commonest kinds of error, with counts."""
        commonest = sorted(self.errors.items(), key=lambda item: (-item[1], item[0]))[:3]
        return tuple(f"{kind} x{count}" for kind, count in commonest)


class ToolMemory(_Memory):
    """Experience with tools."""

    tools_used: tuple[ToolRecord, ...] = ()
    derived_rules: tuple[DerivedRule, ...] = ()


class LedgerEntry(_Memory):
    """One step as the log knows it.

    Attributes:
        brief: the result in still fewer words; empty where it is short already.
        cited: how often the narrative and the rules have cited the step.
        about: how many of the task's words it shares.
    """

    step: int
    action: str
    result: str
    ok: bool
    brief: str = ""
    cited: int = 0
    about: int = 0


class Memory(_Memory):
    """Everything a fold leaves behind.

    Attributes:
        steps: steps of the run so far that did something.
        failed: how many of them failed.
        tools: names of the tools in use, the one used last at the end.
        thought: what the agent thought last, word for word: totals and plans that it carries along.
        summary: the paragraph that stands in the place of the three memories where folding works by that method.
        recent: the newest steps in full, where they are all that is kept.
    """

    episodic: EpisodicMemory
    working: WorkingMemory
    tool: ToolMemory = ToolMemory()
    ledger: tuple[LedgerEntry, ...] = ()
    steps: int = 0
    failed: int = 0
    tools: tuple[str, ...] = ()
    thought: str = ""
    summary: str = ""
    recent: tuple[str, ...] = ()
