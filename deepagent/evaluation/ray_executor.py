"""Episodes on the machines of a Ray cluster (the extra `ray`).

Every actor opens the plan by itself and works on several episodes at a time. It keeps its runs in a file that goes with
it; a finished episode comes back whole, result and run, and only then counts. So an episode whose actor or node dies
simply has not happened, and is given to another actor. What comes back is JSON.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import TypeAdapter

from deepagent.errors import EvaluationStoppedError, UsageError
from deepagent.evaluation.executors import Assignment
from deepagent.evaluation.plan import Opened, Plan, opened
from deepagent.evaluation.results import EpisodeResult
from deepagent.runs.events import Recorded
from deepagent.runs.store import RunStore

_MOST_DEATHS = 3
"""An episode whose actor died so often is taken to be what kills it."""
_MOST_RESTARTS = 20
_PATIENCE = 300.0
"""Seconds without any living actor, in which a new one has to come up."""
_RECORDED: TypeAdapter[list[Recorded]] = TypeAdapter(list[Recorded])


class EpisodeActor:
    """One process of the cluster at work. All methods run in its event loop.

    Args:
        plan: `Plan` as JSON.
    """

    def __init__(self, plan: str) -> None:
        self._plan = Plan.model_validate_json(plan)
        self._stack = AsyncExitStack()
        self._held: Opened | None = None

    async def open(self) -> str:
        """Open models and tools; gives the hash of the setup, which must be the same everywhere."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="deepagent-"))
        self._store = self._stack.enter_context(RunStore(Path(folder) / "runs.sqlite"))
        self._held = await self._stack.enter_async_context(opened(self._plan, self._store))
        self._tasks = {task.id: task for task in self._held.tasks}
        return self._held.setup.hash

    async def episode(self, task: str, seed: int) -> tuple[str, str, dict[str, str | bytes]]:
        """Work on an episode; gives its result and its run's events as JSON, and its artifacts."""
        if self._held is None:
            raise UsageError("the actor is not open")
        result = await self._held.worker.episode(self._tasks[task], seed)
        if not result.run:
            return result.model_dump_json(), "[]", {}
        events = _RECORDED.dump_json(self._store.events(result.run), exclude_none=True).decode()
        return result.model_dump_json(), events, dict(self._store.files(result.run, ""))


class _Work:
    """What is left to do, and how often an episode has lost its actor."""

    def __init__(self, assignments: Iterable[Assignment]) -> None:
        self._fresh = iter(assignments)
        self._again: deque[Assignment] = deque()
        self._deaths: dict[tuple[str, int], int] = {}
        self._peeked: Assignment | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing left to give out."""
        if self._peeked is None:
            self._peeked = next(self._fresh, None)
        return not self._again and self._peeked is None

    def next(self) -> Assignment | None:
        """The next episode."""
        if self._again:
            return self._again.popleft()
        if self.empty:
            return None
        taken, self._peeked = self._peeked, None
        return taken

    def deaths(self, assignment: Assignment) -> int:
        """How many actors died over an episode."""
        return self._deaths.get((assignment[0].id, assignment[1]), 0)

    def again(self, assignment: Assignment) -> bool:
        """Give an episode out once more; False when it has lost too many actors."""
        key = assignment[0].id, assignment[1]
        self._deaths[key] = self._deaths.get(key, 0) + 1
        if self._deaths[key] < _MOST_DEATHS:
            self._again.append(assignment)
        return self._deaths[key] < _MOST_DEATHS


class RayExecutor:
    """Runs episodes on a Ray cluster: the one that `RAY_ADDRESS` names, or one that it starts on this machine.

    Args:
        plan: what the actors open.
        held: the same plan as it is open here: actors must have the same setup.
        runs: receives the runs.
        concurrency: most episodes that are in flight on all actors together.
        actors: how many; by default one for each node of the cluster.

    Raises:
        UsageError: Ray is not installed.
    """

    def __init__(
        self, plan: Plan, held: Opened, runs: RunStore, *, concurrency: int, actors: int | None = None
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise UsageError("Ray is not installed: pip install 'deepagent[ray]'") from error
        self._ray = ray
        self._plan = plan.model_dump_json()
        self._runs = runs
        self._held = held
        self._concurrency = concurrency
        self._wanted = actors
        self._mine = False
        self._restarts = 0
        self._load: dict[Any, int] = {}
        """Living actors, with the number of episodes that each works on."""

    async def __aenter__(self) -> Self:
        if not self._ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS", "local")  # left to itself, Ray takes any cluster that it finds
            local = {"include_dashboard": False} if address == "local" else {}
            await asyncio.to_thread(self._ray.init, address=address, log_to_driver=False, **local)
            self._mine = True
        nodes = sum(1 for node in self._ray.nodes() if node["Alive"])
        self._wanted = min(self._wanted or nodes, self._concurrency)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for actor in self._load:
            self._ray.kill(actor)
        self._load.clear()
        if self._mine:
            await asyncio.to_thread(self._ray.shutdown)

    async def run(self, assignments: Iterable[Assignment]) -> AsyncGenerator[EpisodeResult]:
        """See `Executor.run`."""
        work = _Work(assignments)
        starting = {asyncio.create_task(self._start()) for _ in range(self._wanted or 1)}
        running: dict[asyncio.Task[tuple[str, str, dict[str, str | bytes]]], tuple[Any, Assignment]] = {}
        try:
            while True:
                for actor, assignment in self._placed(work, len(running)):
                    task, seed = assignment
                    running[asyncio.create_task(_called(actor.episode.remote(task.id, seed)))] = actor, assignment
                if not running and work.empty:
                    return
                await self._some(starting | running.keys(), idle=not running)
                for begun in [one for one in starting if one.done()]:
                    starting.discard(begun)
                    self._load[begun.result()] = 0
                for task_done in [one for one in running if one.done()]:
                    actor, assignment = running.pop(task_done)
                    result = await self._settle(task_done, actor, assignment, work, starting)
                    if result is not None:
                        yield result
        finally:
            for unfinished in [*running, *starting]:
                unfinished.cancel()
            await asyncio.gather(*running, *starting, return_exceptions=True)

    def _placed(self, work: _Work, running: int) -> Iterator[tuple[Any, Assignment]]:
        """Where the next episodes go: to the actor that has the fewest."""
        each = -(-self._concurrency // (self._wanted or 1))
        while running < self._concurrency and self._load:
            actor = min(self._load, key=lambda one: self._load[one])
            if self._load[actor] >= each or (assignment := work.next()) is None:
                return
            self._load[actor] += 1
            running += 1
            yield actor, assignment

    async def _settle(
        self, done: asyncio.Task[Any], actor: Any, assignment: Assignment, work: _Work, starting: set[asyncio.Task[Any]]
    ) -> EpisodeResult | None:
        """What an episode came to; None when it is to be done again, since its actor or node is gone."""
        if actor in self._load:
            self._load[actor] -= 1
        try:
            text, events, artifacts = done.result()
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error  # not the cluster failed, but the episode's code
        except self._ray.exceptions.RayError as error:
            if isinstance(error, self._ray.exceptions.RayActorError) and self._load.pop(actor, None) is not None:
                self._restarts += 1
                if self._restarts > _MOST_RESTARTS:
                    raise EvaluationStoppedError(
                        f"{_MOST_RESTARTS} actors died ({_said(error)}): see Ray's log"
                    ) from error
                starting.add(asyncio.create_task(self._start()))
            if work.again(assignment):
                return None
            return await self._held.worker.failed(*assignment, f"its actors died ({_said(error)})", _MOST_DEATHS)
        result = EpisodeResult.model_validate_json(text)
        self._import(result.run, events, artifacts)
        return result.model_copy(update={"attempts": result.attempts + work.deaths(assignment)})

    async def _some(self, tasks: Iterable[asyncio.Task[Any]], *, idle: bool) -> None:
        """Wait for anything; while no actor lives, not for ever."""
        timeout = _PATIENCE if idle else None
        done, _ = await asyncio.wait(set(tasks), return_when=asyncio.FIRST_COMPLETED, timeout=timeout)
        if not done:
            raise EvaluationStoppedError(f"no actor came up in {_PATIENCE:.0f} s: see `ray status` for what is missing")

    async def _start(self) -> Any:
        """A new actor, open."""
        remote = self._ray.remote(EpisodeActor)
        each = -(-self._concurrency // (self._wanted or 1))
        options = {"num_cpus": 1, "max_restarts": 0, "max_concurrency": each + 1, "scheduling_strategy": "SPREAD"}
        while True:
            actor = remote.options(**options).remote(self._plan)
            try:
                found = await _called(actor.open.remote())
            except self._ray.exceptions.RayTaskError as error:
                raise error.as_instanceof_cause() from error
            except self._ray.exceptions.RayActorError as error:
                self._restarts += 1
                if self._restarts > _MOST_RESTARTS:
                    raise EvaluationStoppedError(f"actors do not come up ({_said(error)}): see Ray's log") from error
                continue
            if found != self._held.setup.hash:
                raise UsageError("a node has another setup (package, data or model) than this machine: make them equal")
            return actor

    def _import(self, run: str, events: str, artifacts: dict[str, str | bytes]) -> None:
        """Keep a run that was made elsewhere."""
        recorded = _RECORDED.validate_json(events)
        for at, group in groupby(recorded, key=lambda one: one.at):
            together = list(group)
            self._runs.append(run, together[0].sequence, tuple(one.event for one in together), at=at)
        for id, content in artifacts.items():
            self._runs.keep(run, id, content)


async def _called(reference: Any) -> Any:
    """What a remote call gives."""
    return await reference


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
