"""A framework in an environment of its own, as a worker of our evaluation: same tasks, tools, scorers and results."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.framework.environments import python
from benchmarks.success.served import Door
from deepagent.actions import Action, Answer, Call, Observation
from deepagent.catalogue import Catalogue
from deepagent.config import AgentConfig
from deepagent.errors import OperatorError, ToolError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Episode, Judge
from deepagent.evaluation.results import EpisodeResult
from deepagent.invocation import invoke
from deepagent.models import weights
from deepagent.models.base import Usage
from deepagent.retrieval.choice import open_encoder
from deepagent.runs.events import Event, Intended, Observed, Status
from deepagent.tools import Tool
from deepagent.toolsets.base import Host, Toolset, World
from deepagent.toolsets.composition import Composition, Part
from deepagent.toolsets.resolve import open_toolset
from deepagent.transcript import Segment

ROOT = Path(__file__).parents[2]
_LINE = 64 * 2**20
_FOUND = 10
"""Tools that are chosen beforehand for who cannot search."""


class NoJudge(Judge):
    """All of the bench's sets are scored by rule."""

    async def choose(self, question: str, choices: Sequence[str], *, seed: int = 0) -> str | None:
        """Nobody is there to be asked."""
        raise OperatorError("this set needs a judge, and the bench has none")

    def rule(self, found: str, choice: str | None) -> None:
        """Not recorded."""


@dataclass(frozen=True)
class Way:
    """How a framework works.

    Attributes:
        module: and after a colon the function in it that solves.
        environment: name of its packages; None: this one's.
        finds: whether it searches among many tools itself; else some that fit the task's words are chosen for it.
    """

    module: str
    environment: str | None
    finds: bool = False


class PeerWorker:
    """Works on episodes with another framework; an async context manager.

    Args:
        way: the framework.
        benchmark: entered.
        door: the model server.
        config: limits and sampling, as our own loop has them.
    """

    def __init__(self, way: Way, benchmark: AnyBenchmark, door: Door, config: AgentConfig) -> None:
        self._way = way
        self._benchmark = benchmark
        self._door = door
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._stack = AsyncExitStack()
        self._toolsets: list[Toolset] = []
        self.events: list[Event] = []
        """The log of the episode that is worked on."""

    async def __aenter__(self) -> Self:
        for source in self._benchmark.sources:
            toolset: Any = open_toolset(source, Host()) if isinstance(source, str) else source
            self._toolsets.append(await self._stack.enter_async_context(toolset))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()
        await self._stack.aclose()

    async def episode(self, task: BenchmarkTask, seed: int) -> EpisodeResult:
        """See `Work.episode`."""
        began, events = time.monotonic(), self.events
        events.clear()
        async with AsyncExitStack() as stack:
            world = self._benchmark.world(task)
            if world is not None:
                await stack.enter_async_context(world)
            answer, status, reason = await self._within_limits(task, seed, world, events)
            if answer is not None:
                events.append(Intended(step=_steps(events) + 1, thought="", action=Answer(text=answer)))
            episode = Episode(task, self._benchmark.mode, answer, status, events, world)
            score = await self._benchmark.score(episode, NoJudge())
        return EpisodeResult(
            task=task.id, seed=seed, run="", status=status, reason=reason, answer=answer, gold=task.gold,
            tags=task.tags, score=score, steps=_steps(events), calls=_steps(events), folds=0, usage=Usage(),
            seconds=time.monotonic() - began, at=time.time(),
        )  # fmt: skip

    async def _within_limits(
        self, task: BenchmarkTask, seed: int, world: Toolset | None, events: list[Event]
    ) -> tuple[str | None, Status, str]:
        try:
            async with asyncio.timeout(self._config.limits.seconds):
                ended = await self._work(task, seed, world, events)
        except TimeoutError:
            await self._stop()
            return None, "limit", f"the limit of {self._config.limits.seconds:g} s is reached"
        except OperatorError as error:
            return None, "failed", str(error)
        if ended.get("failed"):
            limit = "max" in ended["failed"].lower() or "limit" in ended["failed"].lower()
            return None, "limit" if limit else "truncated", ended["failed"]
        return ended.get("answer"), "answered", "the framework answered"

    async def _work(self, task: BenchmarkTask, seed: int, world: Toolset | None, events: list[Event]) -> dict[str, Any]:
        tools, catalogue = await self._tools(task, world)
        process = self._process = self._process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        sampling = self._config.sampling
        job = {
            "task": task.prompt, "url": self._door.url, "model": self._door.model, "turns": self._config.limits.actions,
            "max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "seed": seed,
            "finds": self._way.finds,
            "tools": [
                {"name": tool.spec.identifier, "description": tool.spec.description, "parameters": tool.spec.parameters}
                for tool in tools.values()
            ],
        }  # fmt: skip
        process.stdin.write(json.dumps(job).encode() + b"\n")
        while line := await process.stdout.readline():
            said: dict[str, Any] = json.loads(line)
            if "call" in said:
                back = await self._called(said["call"], said["arguments"], tools, events)
            elif "search" in said:
                hits = await catalogue.search(said["search"], self._config.found)
                back = {"names": [hit.spec.identifier for hit in hits]}
            else:
                return said
            process.stdin.write(json.dumps(back).encode() + b"\n")
        await self._stop()
        raise OperatorError(f"{self._way.module} ended by itself; what it said is above")

    async def _tools(self, task: BenchmarkTask, world: Toolset | None) -> tuple[dict[str, Tool], Catalogue]:
        """What the task may use, by identifier: chosen beforehand where they are many, and it cannot search."""
        composition, offered = Composition(), self._benchmark.offered(task)
        for toolset in self._toolsets:
            if isinstance(toolset, World):
                toolset.reset()
            composition.add(toolset if offered is None else Part(toolset, offered))
        if world is not None:
            composition.add(world)
        encoder = partial(open_encoder, self._config.encoder)
        catalogue = Catalogue(composition, encoder=encoder, cache=weights.cache_folder() / "indexes")
        tools = list(catalogue)
        if self._benchmark.mode == "open-set" and not self._way.finds:
            names = {hit.spec.name for hit in await catalogue.search(task.prompt, _FOUND)}
            tools = [tool for tool in tools if tool.name in names]
        return {tool.spec.identifier: tool for tool in tools}, catalogue

    async def _called(
        self, name: str, arguments: dict[str, Any], tools: dict[str, Tool], events: list[Event]
    ) -> dict[str, Any]:
        """Call a tool, and put it into the log as our own loop does."""
        step, tool = _steps(events) + 1, tools.get(name)
        action: Action = Call(name=tool.name if tool else name, arguments=arguments)
        events.append(Intended(step=step, thought="", action=action))
        back: dict[str, Any]
        try:
            if tool is None:
                raise ToolError(f"there is no tool named {name!r}")
            value, text = await invoke(tool, arguments, self._config.tool_seconds)
            back, seen = {"value": _plain(value, text)}, Observation(text=text)
        except ToolError as error:
            back, seen = {"error": str(error)}, Observation(text=str(error), error=error.kind)
        segment = Segment(kind="observation", text=seen.text)
        events.append(Observed(step=step, observation=seen, segment=segment, seconds=0.0))
        return back

    async def _start(self) -> asyncio.subprocess.Process:
        interpreter = await asyncio.to_thread(python, self._way.environment)
        return await asyncio.create_subprocess_exec(
            interpreter, "-m", "benchmarks.success.peers", self._way.module,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE, cwd=ROOT,
            env={**os.environ, "OPENAI_API_KEY": "none", "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


def _steps(events: Sequence[Event]) -> int:
    return sum(isinstance(event, Intended) for event in events)


def _plain(value: Any, text: str) -> Any:
    """The result as JSON, or its text where it is none."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return text
    return value
