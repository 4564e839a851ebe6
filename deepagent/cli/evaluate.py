"""`deepagent eval`: run a benchmark's tasks and score them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.text import Text

from deepagent.agent import Agent
from deepagent.cli.run import (
    ConfigOption,
    JsonOption,
    ModelOption,
    StoreOption,
    UnsafeOption,
    kept_in,
    say_indexing,
    settings_from,
)
from deepagent.cli.story import Story, tokens
from deepagent.cli.terminal import interruptible, json_lines, plain, say, stderr, stdout
from deepagent.errors import UsageError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.evaluation.registry import get_benchmark
from deepagent.evaluation.runner import TaskResult, run_tasks
from deepagent.models.base import Usage


def evaluate(
    name: Annotated[str, typer.Argument(help="The benchmark: toolhop.")],
    task: Annotated[list[str] | None, typer.Option("--task", help="Only this task's id. Repeatable.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the first so many.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Tell every run as it happens.")] = False,
    model: ModelOption = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
    unsafe_execute: UnsafeOption = False,
) -> None:
    """Run a benchmark's tasks, score them and print the figures.

    Examples:
      deepagent eval toolhop --limit 10
      deepagent eval toolhop --task toolhop-019 --show
    """
    benchmark = get_benchmark(name)
    tasks = _chosen(benchmark, task or [], limit)
    settings = settings_from(config, model, unsafe_execute)
    agent = Agent(
        settings.model,
        [*benchmark.sources, *settings.tools],
        config=settings.agent,
        auxiliary=settings.auxiliary,
        judge=settings.judge,
        vision=settings.vision,
        store=store,
        indexing=say_indexing,
    )
    with interruptible(kept_in(store)), _teller(benchmark, json) as tell:
        results = asyncio.run(_run(benchmark, tasks, agent, Story(stderr if json else stdout), tell, show=show))
    if not json:
        _summary(benchmark, results)
    raise typer.Exit(0 if all(result.status != "failed" for result in results) else 1)


def _chosen(benchmark: AnyBenchmark, ids: Sequence[str], limit: int | None) -> Sequence[BenchmarkTask]:
    tasks = list(benchmark.tasks())
    unknown = sorted(set(ids) - {task.id for task in tasks})
    if unknown:
        raise UsageError(
            f"{benchmark.name} has no task {unknown[0]!r}; its ids run from {tasks[0].id} to {tasks[-1].id}"
        )
    return [task for task in tasks if not ids or task.id in ids][:limit]


@contextmanager
def _teller(benchmark: AnyBenchmark, json: bool) -> Iterator[Callable[[TaskResult], None]]:
    """What tells a result on stdout."""
    if not json:
        yield lambda result: stdout.print(_line(benchmark, result), soft_wrap=True)
        return
    with json_lines() as write:
        yield lambda result: write(result.model_dump_json())


async def _run(
    benchmark: AnyBenchmark,
    tasks: Sequence[BenchmarkTask],
    agent: Agent,
    story: Story,
    tell: Callable[[TaskResult], None],
    *,
    show: bool,
) -> list[TaskResult]:
    results: list[TaskResult] = []
    hear = (lambda task, item: story.hear(item)) if show else (lambda task, item: None)
    with story:
        story.wait("opening the model")
        async with agent:
            async for result in run_tasks(benchmark, tasks, agent, hear=hear):
                results.append(result)
                tell(result)
                if result.status == "failed":
                    say(f"error: {result.task}: {result.reason}")
                story.wait(f"{len(results)} of {len(tasks)} done")
    return results


def _line(benchmark: AnyBenchmark, result: TaskResult) -> Text:
    headline = benchmark.metrics[0]
    others = "".join(
        f"{name} {value.corrected:.0%}, "
        for name, value in result.score.values.items()
        if name != headline.name and value.corrected is not None
    )
    right = bool(result.score.values[headline.name].corrected)
    answer = " ".join((result.answer or "-").split())[:60]
    return Text("  ").join(
        (
            plain(result.task, "bold"),
            plain("right" if right else "wrong", "green" if right else "red"),
            plain(f"answer {answer}"),
            plain(f"gold {result.gold}"),
            plain(
                f"{result.status}, {others + ', ' if others else ''}{result.steps} steps, {result.seconds:.0f} s", "dim"
            ),
        )
    )


def _summary(benchmark: AnyBenchmark, results: Sequence[TaskResult]) -> None:
    if len(results) < 2:
        return
    values = [result.score.values[benchmark.metrics[0].name] for result in results]
    stdout.print(
        f"{len(results)} tasks: {sum(value.corrected or 0 for value in values):.0f} right "
        f"({sum(value.published or 0 for value in values):.0f} as published), "
        f"{sum(r.status == 'answered' for r in results)} answered by themselves, "
        f"{sum(r.status == 'forced' for r in results)} at a limit, "
        f"{sum(r.status in ('limit', 'failed') for r in results)} without an answer",
        soft_wrap=True,
    )
    usage = sum((result.usage for result in results), Usage())
    stdout.print(f"{tokens(usage)}, {sum(r.seconds for r in results):.0f} s")
