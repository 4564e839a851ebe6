"""Runs one set with one framework: results, tokens and failures go where our evaluations keep theirs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.framework.environments import PINS
from benchmarks.success.failures import failure
from benchmarks.success.peer import PeerWorker
from benchmarks.success.roster import OURS, PEERS
from benchmarks.success.served import Door
from benchmarks.success.served import opened as served
from benchmarks.success.sets import HALVES, Half, TaskSet, chosen
from deepagent import __version__
from deepagent.agent import Delta
from deepagent.budget import Limits
from deepagent.config import AgentConfig, RunConfig
from deepagent.evaluation import runner
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.evaluation.executors import AsyncioExecutor
from deepagent.evaluation.plan import benchmark_of, make_plan, opened
from deepagent.evaluation.results import EpisodeResult, Setup
from deepagent.evaluation.store import ResultStore
from deepagent.evaluation.worker import Work
from deepagent.models.base import Sampling
from deepagent.models.config import HttpConfig
from deepagent.retrieval.choice import open_encoder
from deepagent.runs.events import Event
from deepagent.runs.store import RunStore

MAX_TOKENS = 512
HALF, CLASS, TURNS = "half", "failure", "turns"
"""Tags of results."""


@dataclass(frozen=True)
class Order:
    """What is to be run.

    Attributes:
        who: our loop or a peer.
        label: under which it is told, such as a state of the code.
        limit: tasks of each half; None: all.
        seconds: wall-clock limit of a task.
    """

    which: TaskSet
    who: str
    label: str
    halves: tuple[Half, ...] = HALVES
    limit: int | None = None
    seeds: int = 1
    temperature: float = 0.0
    seconds: float = 300.0
    model: str = "qwen2.5-coder-1.5b"

    @property
    def config(self) -> AgentConfig:
        """Limits and sampling, the same for all."""
        return AgentConfig(
            limits=Limits(actions=self.which.turns, seconds=self.seconds),
            sampling=Sampling(temperature=self.temperature, seed=0, max_tokens=MAX_TOKENS),
        )


async def work(order: Order, runs: RunStore, results: ResultStore, tell: Callable[[str], None]) -> None:
    """Run what has no result yet; each result is kept as soon as it is there."""
    async with served(order.model, context=order.which.context) as door:
        making = _ours(order, door, runs) if order.who == OURS else _peer(order, door)
        async with making as (benchmark, worker, setup):
            evaluation = runner.begin(results, setup, benchmark.metrics, resume=True)
            tasks = [
                task.model_copy(update={"tags": {**task.tags, HALF: half}})
                for half in order.halves
                for task in chosen(benchmark.tasks(), order.which, half, limit=order.limit)
            ]
            tell(f"{order.which.benchmark}, {order.label}: {len(tasks)} tasks, {evaluation.id}")
            executor = AsyncioExecutor(worker, 1)
            await runner.run(
                evaluation, tasks, seeds=order.seeds, executor=executor, store=results,
                tell=lambda progress: tell(_line(progress)) if progress.result else None,
            )  # fmt: skip


def _line(progress: runner.Progress) -> str:
    result = progress.result
    assert result is not None
    said = "solved" if not result.tags[CLASS] else result.tags[CLASS]
    return (
        f"{progress.done}/{progress.total} {result.task}: {said}, {result.seconds:.0f} s, "
        f"{result.usage.prompt_tokens} tokens, {result.tags[TURNS]} turns, answer {(result.answer or '')[:60]!r}"
    )


Made = tuple[AnyBenchmark, Work, Setup]


@asynccontextmanager
async def _ours(order: Order, door: Door, runs: RunStore) -> AsyncIterator[Made]:
    heard: list[Event] = []

    def hear(task: BenchmarkTask, item: Event | Delta) -> None:
        if not isinstance(item, Delta):
            heard.append(item)

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "door.yaml"
        served_by = HttpConfig(kind="http", url=door.url, model=door.model, context=door.context, turns=True)
        model.write_text(json.dumps(served_by.model_dump()))  # JSON is YAML
        run = RunConfig(model=str(model), agent=order.config)
        plan = make_plan(order.which.benchmark, run, mode=order.which.mode, baseline=order.which.baseline, retries=0)
        async with opened(plan, runs, hear=hear) as held:
            worker = _Counting(held.worker, door, heard)
            yield held.benchmark, worker, held.setup.model_copy(update={"baseline": order.label})


@asynccontextmanager
async def _peer(order: Order, door: Door) -> AsyncIterator[Made]:
    way = PEERS[order.who]
    plan = make_plan(order.which.benchmark, RunConfig(agent=order.config), mode=order.which.mode)
    async with (
        benchmark_of(plan) as benchmark,
        PeerWorker(way, benchmark, door, plan.run.agent) as peer,
    ):
        setup = Setup(
            benchmark=plan.benchmark, mode=plan.mode, settings=plan.settings,
            data_hash=benchmark.data_hash(benchmark.tasks()), model=door.model, context=door.context, roles={},
            agent=plan.run.agent.model_dump(mode="json"), baseline=order.label, prompt_hash="", tools_hash="",
            retriever=open_encoder(plan.run.agent.encoder).name, version=version(way.environment),
        )  # fmt: skip
        yield benchmark, _Counting(peer, door, peer.events), setup


def version(environment: str | None) -> str:
    """The pinned version of what an environment is named after."""
    if environment is None:
        return __version__
    package = {"bigtool": "langgraph-bigtool"}.get(environment, environment)
    pins = dict(line.split("==") for line in (PINS / f"{environment}.txt").read_text().split() if "==" in line)
    return pins.get(package) or pins[f"{package}-slim"]


class _Counting:
    """A worker whose tokens, turns and failures are told as the door and the log say."""

    def __init__(self, worker: Work, door: Door, events: list[Event]) -> None:
        self._worker = worker
        self._door = door
        self._events = events

    async def episode(self, task: BenchmarkTask, seed: int) -> EpisodeResult:
        """See `Work.episode`."""
        self._events.clear()
        self._door.emptied()
        result = await self._worker.episode(task, seed)
        counted = self._door.emptied()
        solved = next(iter(result.score.values.values())).corrected == 1
        why = "" if solved else failure(task, result.answer, result.status, self._events)
        tags = {**result.tags, CLASS: why, TURNS: str(counted.turns), "refused": str(counted.refused)}
        reason = f"{result.reason} ({counted.reasons[-1]})" if counted.reasons else result.reason
        return result.model_copy(update={"usage": counted.usage, "tags": tags, "reason": reason})
