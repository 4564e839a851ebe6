"""Running a benchmark's tasks, one after the other. A task that fails is a result, not a crash."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence

from deepagent.actions import Frozen
from deepagent.agent import Agent, Delta
from deepagent.errors import OperatorError, TaskError
from deepagent.evaluation.base import Benchmark, BenchmarkTask, Score
from deepagent.models.base import Usage
from deepagent.runs.events import Ended, Event, Started
from deepagent.runs.steps import steps


class TaskResult(Frozen):
    """One task as run and scored.

    Attributes:
        status: how the run ended (`deepagent.runs.events.Status`).
        reason: why, in words.
    """

    task: str
    run: str
    answer: str | None
    gold: str
    status: str
    reason: str
    score: Score
    steps: int
    folds: int
    usage: Usage
    seconds: float


async def run_tasks(
    benchmark: Benchmark,
    tasks: Sequence[BenchmarkTask],
    agent: Agent,
    *,
    hear: Callable[[BenchmarkTask, Event | Delta], None] = lambda task, item: None,
) -> AsyncIterator[TaskResult]:
    """Run and score tasks.

    Args:
        benchmark: scores them.
        tasks: which ones.
        agent: entered.
        hear: receives all events and text of every task.
    """
    for task in tasks:
        events: list[Event] = []
        began = time.monotonic()
        reason = ""
        try:
            async for item in agent.stream(task.prompt, benchmark=f"{benchmark.name}/{task.id}"):
                hear(task, item)
                if not isinstance(item, Delta):
                    events.append(item)
        except (OperatorError, TaskError) as error:
            reason = str(error)
        yield _result(benchmark, task, events, reason, time.monotonic() - began)


def _result(
    benchmark: Benchmark, task: BenchmarkTask, events: Sequence[Event], reason: str, seconds: float
) -> TaskResult:
    ended = next((event for event in events if isinstance(event, Ended)), None)
    run = next((event.run for event in events if isinstance(event, Started)), "")
    answer = ended.answer if ended else None
    return TaskResult(
        task=task.id,
        run=run,
        answer=answer,
        gold=task.gold,
        status=ended.status if ended else "failed",
        reason=ended.reason if ended else reason,
        score=benchmark.score(task, answer, steps(events)),
        steps=ended.steps if ended else 0,
        folds=ended.folds if ended else 0,
        usage=ended.usage if ended else Usage(),
        seconds=seconds,
    )
