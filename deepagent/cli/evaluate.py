"""`deepagent eval NAME`: run benchmarks and score them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from deepagent.agent import Delta
from deepagent.cli.episodes import Telling, say_matrix, say_summary
from deepagent.cli.options import (
    AdapterOption,
    ConfigOption,
    JsonOption,
    ModelOption,
    SetOption,
    StoreOption,
    UnsafeOption,
    given_by_options,
    settings_from,
    wearing,
)
from deepagent.cli.run import say_indexing
from deepagent.cli.story import Story
from deepagent.cli.terminal import interruptible, say, stderr, stdout
from deepagent.errors import UsageError
from deepagent.evaluation import registry, runner
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Mode
from deepagent.evaluation.executors import AsyncioExecutor, Executor
from deepagent.evaluation.plan import Opened, Plan, benchmark_of, make_plan, opened
from deepagent.evaluation.report import VIEWER
from deepagent.evaluation.report import write as write_report
from deepagent.evaluation.results import Evaluation
from deepagent.evaluation.store import ResultStore
from deepagent.evaluation.summary import Summary, summarise
from deepagent.resources import default_store
from deepagent.runs.events import Event
from deepagent.runs.store import RunStore


class ExecutorName(StrEnum):
    """Where episodes run."""

    ASYNCIO = "asyncio"
    RAY = "ray"


def evaluate(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="The benchmarks, or 'all'. `deepagent eval list` shows them.")
    ],
    task: Annotated[list[str] | None, typer.Option("--task", help="Only this task's id. Repeatable.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the first so many.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How often each task is tried.")] = 1,
    labelled: Annotated[
        bool | None, typer.Option("--labelled/--open-set", help="Give each task its own tools, or have them found.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", "-b", help="How to work: react, codeact, ... or a YAML file. Repeatable."),
    ] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="The model that grades what no rule can.")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Episodes at a time.")] = 1,
    executor: Annotated[ExecutorName, typer.Option("--executor", help="Where they run.")] = ExecutorName.ASYNCIO,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Further attempts after a passing failure.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on: run only what has no result, or failed.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Tell every run as it happens.")] = False,
    model: ModelOption = None,
    adapter: AdapterOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    settings: Annotated[
        Path | None, typer.Option("--benchmark-config", help="The benchmark's settings; by default its own file.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write one report of all that was run here.")] = None,
    store: StoreOption = None,
    json: JsonOption = False,
    unsafe_execute: UnsafeOption = False,
) -> None:
    """Run benchmarks' tasks, score them and keep the results; `deepagent eval NAME` is short for it.

    The models `oracle` and `empty` test a benchmark: one knows the way, the other says nothing.

    Examples:
      deepagent eval toolhop --limit 10
      deepagent eval toolhop --task toolhop-019 --show
      deepagent eval toolhop --model local --seeds 3 --concurrency 16 --resume
      deepagent eval toolhop m3tooleval -b react -b codeact -b deepagent -m local --report table.html
    """
    chosen = registry.names() if names == ["all"] else names
    if show and concurrency > 1:
        raise UsageError("--show tells one run at a time: leave --concurrency out")
    run = wearing(settings_from(config, given_by_options(model, set_, judge), unsafe_execute), adapter)
    mode: Mode | None = None if labelled is None else "labelled" if labelled else "open-set"
    ways: list[str | None] = [*baseline] if baseline else [None]
    plans = [
        make_plan(name, run, mode=mode, baseline=one, config=settings, retries=retries)
        for name in chosen
        for one in ways
    ]
    path = store or default_store()
    command = _Command(
        ids=task or [], limit=limit, seeds=seeds, concurrency=concurrency, ray=executor is ExecutorName.RAY,
        resume=resume, show=show, json=json,
    )  # fmt: skip
    if seeds > 1 and run.agent.sampling.temperature == 0:
        say("warning: at temperature 0 many servers answer every seed alike: set agent.sampling.temperature")
    with (
        interruptible("what was done is kept: go on with --resume"),
        RunStore(path) as runs,
        ResultStore(results_path(path)) as results,
    ):
        summaries = [asyncio.run(command.run(plan, runs, results)) for plan in plans]
        if report is not None:
            written = write_report([summary.evaluation for summary in summaries], results, report, viewer=VIEWER)
            say(f"report: {written[0]}")
    if not json and len(summaries) > 1:
        say_matrix(summaries)
    raise typer.Exit(1 if any("failed" in summary.statuses for summary in summaries) else 0)


def results_path(runs: Path) -> Path:
    """Where the results are kept of runs that are kept in this file."""
    return runs.with_suffix(".evaluations.sqlite")


class _Command:
    """What was asked for, whatever the benchmark."""

    def __init__(
        self,
        *,
        ids: Sequence[str],
        limit: int | None,
        seeds: int,
        concurrency: int,
        ray: bool,
        resume: bool,
        show: bool,
        json: bool,
    ) -> None:
        self._ids = ids
        self._limit = limit
        self._seeds = seeds
        self._concurrency = concurrency
        self._ray = ray
        self._resume = resume
        self._show = show
        self._json = json

    async def run(self, plan: Plan, runs: RunStore, results: ResultStore) -> Summary:
        """Run one evaluation, tell it, and sum it up."""
        tasks = self._chosen(benchmark_of(plan))
        async with AsyncExitStack() as stack:
            opening = stack.enter_context(ExitStack())
            story = opening.enter_context(Story(stderr if self._json else stdout))
            story.wait("opening the model")

            def hear(task: BenchmarkTask, item: Event | Delta) -> None:
                if self._show:
                    story.hear(item)

            held = await stack.enter_async_context(opened(plan, runs, hear=hear, indexing=say_indexing))
            evaluation = runner.begin(
                results, held.setup, held.benchmark.metrics, resume=self._resume, prices=plan.run.prices
            )
            executor: Executor = AsyncioExecutor(held.worker, self._concurrency)
            if self._ray:
                executor = await stack.enter_async_context(_ray(plan, held, runs, self._concurrency))
            if not self._show:  # the terminal is the bar's now
                opening.close()
            tell = stack.enter_context(Telling(evaluation, show=self._show, json=self._json))
            await runner.run(evaluation, tasks, seeds=self._seeds, executor=executor, store=results, tell=tell)
        return self._summary(evaluation, results)

    def _chosen(self, benchmark: AnyBenchmark) -> Sequence[BenchmarkTask]:
        tasks = benchmark.tasks()
        unknown = sorted(set(self._ids) - {task.id for task in tasks})
        if unknown:
            first, last = tasks[0].id, tasks[-1].id
            raise UsageError(f"{benchmark.name} has no task {unknown[0]!r}; its ids run from {first} to {last}")
        return [task for task in tasks if not self._ids or task.id in self._ids][: self._limit]

    def _summary(self, evaluation: Evaluation, results: ResultStore) -> Summary:
        summary = summarise(evaluation, results.results(evaluation.id))
        if not self._json and summary.episodes > 1:
            say_summary(summary)
        return summary


def _ray(plan: Plan, held: Opened, runs: RunStore, concurrency: int) -> Any:
    from deepagent.evaluation.ray_executor import RayExecutor

    return RayExecutor(plan, held, runs, concurrency=concurrency)
