"""When and how history is folded."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Trigger = Literal["asked", "window", "stuck"]


class FoldConfig(BaseModel):
    """When and how history is folded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    triggers: tuple[Trigger, ...] = ("asked", "window", "stuck")
    """What starts a fold: the model's request, a window that is nearly full, steps that lead nowhere."""
    at: float | None = Field(None, gt=0, lt=1)
    """Fold when the window holds this share of the model's context; by default once a reply, a result and the demand
    for an answer might not fit any more."""
    stuck: int = Field(4, ge=2)
    """Steps in a row that failed or repeated an earlier one, after which the run counts as stuck."""
    shrink: float = Field(0.7, gt=0, lt=1)
    """The new window must be at most this share of the old one."""
    memory: float = Field(0.25, gt=0, lt=1)
    """Memory in the new window takes at most this share of the model's context."""
    method: Literal["memory", "summary", "truncate"] = "memory"
    """What takes the place of history: the three memories on a ledger; one paragraph by the auxiliary model; or just
    the newest steps. The last two are there to be compared with the first."""
    tool_memory: bool = True
    """Whether there is a tool memory; without it, to see what it is worth."""
    max_tokens: int = Field(700, ge=64)
    """Longest reply of one folding call; at most a quarter of the auxiliary model's context is used."""
    seconds: float = Field(600, gt=0)
    """Time limit of one folding call."""
