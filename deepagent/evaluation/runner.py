"""Running a benchmark's tasks, one after the other. A task that fails is a result, not a crash."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

from deepagent.actions import Frozen
from deepagent.agent import Agent, Circumstances, Delta
from deepagent.errors import OperatorError, TaskError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Episode, Score
from deepagent.evaluation.judges import ModelJudge
from deepagent.models.base import Usage
from deepagent.runs.events import Ended, Event, Started, Status


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
    status: Status
    reason: str
    score: Score
    steps: int
    folds: int
    usage: Usage
    seconds: float


async def run_tasks(
    benchmark: AnyBenchmark,
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
        yield await _episode(benchmark, task, agent, partial(hear, task))


async def _episode(
    benchmark: AnyBenchmark, task: BenchmarkTask, agent: Agent, hear: Callable[[Event | Delta], None]
) -> TaskResult:
    events: list[Event] = []
    began = time.monotonic()
    reason = ""
    async with AsyncExitStack() as stack:
        world = benchmark.world(task)
        try:
            if world is not None:
                await stack.enter_async_context(world)
            circumstances = Circumstances(tools=world, only=benchmark.offered(task))
            async for item in agent.stream(
                task.prompt,
                benchmark=f"{benchmark.name}/{task.id}",
                attachments=task.attachments,
                circumstances=circumstances,
            ):
                hear(item)
                if not isinstance(item, Delta):
                    events.append(item)
        except (OperatorError, TaskError) as error:
            reason = str(error)
        ended = next((event for event in events if isinstance(event, Ended)), None)
        episode = Episode(
            task=task,
            mode=benchmark.mode,
            answer=ended.answer if ended else None,
            status=ended.status if ended else "failed",
            events=events,
            world=world,
        )
        score = await benchmark.score(episode, ModelJudge(lambda: agent.model("judge")))
    return TaskResult(
        task=task.id,
        run=next((event.run for event in events if isinstance(event, Started)), ""),
        answer=episode.answer,
        gold=task.gold,
        status=episode.status,
        reason=ended.reason if ended else reason,
        score=score,
        steps=ended.steps if ended else 0,
        folds=ended.folds if ended else 0,
        usage=ended.usage if ended else Usage(),
        seconds=time.monotonic() - began,
    )
