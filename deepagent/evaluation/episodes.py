"""One episode, for whoever needs one: the agent works on a task in its world, and what came of it is scored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from deepagent.agent import Agent, Circumstances, Delta
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Episode, Judge, Score
from deepagent.runs.events import Event


async def play(
    benchmark: AnyBenchmark,
    agent: Agent,
    task: BenchmarkTask,
    judge: Judge,
    *,
    seed: int | None,
    events: list[Event],
    hear: Callable[[Event | Delta], None] = lambda item: None,
) -> tuple[Episode, Score]:
    """Work on a task, and score it while its world is still open.

    Args:
        benchmark: gives world and score; entered.
        agent: works; entered.
        task: what to do.
        judge: asked by the scorer.
        seed: of sampling; None leaves it as the agent's settings have it.
        events: receives the run's log, also of a run that breaks.
        hear: told all events and text.

    Raises:
        OperatorError: the run or the judge broke.
        UsageError: the task cannot be worked on.
    """
    refused: list[str] = []

    def heard(item: Event | Delta) -> None:
        hear(item)
        if not isinstance(item, Delta):
            events.append(item)

    def refuse(answer: str) -> str | None:
        said = benchmark.refusal(task, answer)
        if said is not None:
            refused.append(answer)
        return said

    async with AsyncExitStack() as stack:
        world = benchmark.world(task)
        if world is not None:
            await stack.enter_async_context(world)
        run = await agent.run(
            task.prompt,
            benchmark=f"{benchmark.name}/{task.id}",
            attachments=task.attachments,
            circumstances=Circumstances(tools=world, only=benchmark.offered(task), seed=seed, refuse=refuse),
            hear=heard,
        )
        episode = Episode(task, benchmark.mode, run.answer, run.status, events, world, refused)
        return episode, await benchmark.score(episode, judge)
