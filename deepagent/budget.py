"""Limits on what a run may spend, and what it has spent so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """The most that one run may use. None means no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    actions: int | None = Field(50, ge=1)
    """Steps of any kind; malformed ones count too (the paper's limit is 50)."""
    calls: int | None = Field(1000, ge=1)
    """Tool calls that code makes."""
    folds: int | None = Field(3, ge=0)
    """Memory folds (3 in the paper's code)."""
    tokens: int | None = Field(None, ge=1)
    """Prompt tokens that were not read from a cache plus generated tokens, folds included."""
    seconds: float | None = Field(None, gt=0)
    """Wall-clock time."""
    idle: int | None = Field(8, ge=1)
    """Steps in a row that bring nothing new: repeated to the letter, or without a readable action."""


class Budget:
    """Counts what a run spends and says which limit it has reached.

    Args:
        limits: the most that may be spent.
        clock: monotonic seconds; tests pass their own.

    Attributes:
        idle: steps in a row that repeated an earlier one or held no action.
        failing: steps in a row that did so or failed.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.actions = 0
        self.folds = 0
        self.tokens = 0
        self.idle = 0
        self.failing = 0
        self._clock = clock
        self._start = clock()

    def restore(self, *, actions: int, folds: int, tokens: int, idle: int, failing: int, seconds: float) -> None:
        """Go on from what was spent before."""
        self.actions, self.folds, self.tokens, self.idle, self.failing = actions, folds, tokens, idle, failing
        self._start = self._clock() - seconds

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began."""
        return self._clock() - self._start

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the time limit, at least 0; None without a limit."""
        if self.limits.seconds is None:
            return None
        return max(0.0, self.limits.seconds - self.seconds)

    @property
    def may_fold(self) -> bool:
        """Whether another fold is allowed."""
        return self.limits.folds is None or self.folds < self.limits.folds

    def exhausted(self) -> str | None:
        """The first limit that is reached, in words, or None."""
        for name, spent, limit in (
            ("actions", self.actions, self.limits.actions),
            ("tokens", self.tokens, self.limits.tokens),
            ("seconds", self.seconds, self.limits.seconds),
            ("steps without anything new", self.idle, self.limits.idle),
        ):
            if limit is not None and spent >= limit:
                return f"the limit of {limit:g} {name} is reached"
        return None
