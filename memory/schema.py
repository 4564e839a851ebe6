"""The paper's three memories (DeepAgent, arXiv 2510.21618, appendix C), and the ledger beneath them.

The model writes the narrative. What can be counted or copied is taken from the log instead: a small model's fold can be
valid JSON and still be wrong.

The limits on lengths are part of the schema that the model is held to: together they keep each memory under some 600
tokens, so that a reply is never cut in the middle, and a small model on a CPU folds in a minute rather than five.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _at_most(length: int) -> Any:
    """A limit that the JSON Schema states; what comes longer all the same is cut rather than refused."""
    return BeforeValidator(lambda value: value[:length] if isinstance(value, str | list) else value)


Line = Annotated[str, Field(max_length=160), _at_most(160)]


class _Memory(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class KeyEvent(_Memory):
    """One step that mattered."""

    step: Annotated[str, Field(max_length=20)]
    description: Line
    outcome: Line


class EpisodicMemory(_Memory):
    """What has been done so far, and how far the task has come."""

    task_description: Line
    key_events: Annotated[tuple[KeyEvent, ...], Field(max_length=5), _at_most(5)]
    current_progress: Line


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


class ToolNotes(_Memory):
    """What the model is asked for; numbers are not its business."""

    tools_used: Annotated[tuple[ToolExperience, ...], Field(max_length=3), _at_most(3)]
    derived_rules: Annotated[tuple[Line, ...], Field(max_length=3), _at_most(3)]


class ToolRecord(_Memory):
    """One tool as used in this run: the paper's fields, counts from the log, words from the model."""

    tool_name: str
    calls: int
    success_rate: float
    effective_parameters: tuple[str, ...]
    common_errors: tuple[str, ...]
    response_pattern: str = ""
    experience: str = ""


class ToolMemory(_Memory):
    """Experience with tools."""

    tools_used: tuple[ToolRecord, ...] = ()
    derived_rules: tuple[str, ...] = ()


class LedgerEntry(_Memory):
    """One step as the log knows it."""

    step: int
    action: str
    result: str
    ok: bool


class Memory(_Memory):
    """Everything a fold leaves behind."""

    episodic: EpisodicMemory
    working: WorkingMemory
    tool: ToolMemory
    ledger: tuple[LedgerEntry, ...]
