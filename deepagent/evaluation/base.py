"""What a benchmark is: tasks, the tools they need, and a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import Field

from deepagent.actions import Frozen
from deepagent.runs.steps import Step


class BenchmarkTask(Frozen):
    """One task.

    Attributes:
        prompt: what the agent is asked.
        gold: the right answer, as published.
        data: what else the scorer needs; never shown to the agent.
    """

    id: str
    prompt: str
    gold: str
    data: dict[str, Any] = Field(default_factory=dict)


class Score(Frozen):
    """How well a task was done.

    Attributes:
        published: the metric as the benchmark's paper and code define it, defects included.
        corrected: the same without its defects.
        path: share of the intermediate answers that a tool result showed; None where the benchmark knows none.
    """

    published: float
    corrected: float
    path: float | None = None


class Benchmark(Protocol):
    """A set of tasks with its scorer."""

    @property
    def name(self) -> str:
        """As given on the command line."""
        ...

    @property
    def tools(self) -> Sequence[str]:
        """Tool sources that the tasks need (see `deepagent.toolsets.resolve`)."""
        ...

    def tasks(self) -> Sequence[BenchmarkTask]:
        """All tasks, in a fixed order."""
        ...

    def score(self, task: BenchmarkTask, answer: str | None, steps: Sequence[Step]) -> Score:
        """Judge one run."""
        ...
