"""The agent: a model, its tools, and the loop that lets them meet.

task -> window (instructions, tools, task)
repeat:  model continues the stream -> one action -> observation is appended
         the window fills up -> history is folded into memory, a new window opens
until an answer or a limit
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from weakref import WeakSet

from deepagent import tracing
from deepagent.actions import Frozen
from deepagent.catalogue import Catalogue
from deepagent.config import AgentConfig
from deepagent.dialects import Opening
from deepagent.errors import StoreError, TaskError, UsageError
from deepagent.files import read_files
from deepagent.invocation import Approve
from deepagent.means import Means, abilities, dialect
from deepagent.memory.plainer import make_folder
from deepagent.models.base import Model, Usage
from deepagent.models.roles import Role
from deepagent.resources import Resources, ToolSource, open_resources
from deepagent.runs.events import Ended, Event, Sources, Started, Status
from deepagent.runs.log import ATTACHED, RunLog
from deepagent.runs.progress import Progress
from deepagent.runs.store import RunStore
from deepagent.session import Session
from deepagent.tools import RUN, well_formed
from deepagent.toolsets.base import Environment, Toolset, World


class Delta(Frozen):
    """A piece of the model's text as it is written; not part of the log.

    Attributes:
        restarted: the reply broke off: what was told of it is void, and it begins anew.
    """

    kind: Literal["delta"] = "delta"
    text: str
    restarted: bool = False


class Run(Frozen):
    """A finished run.

    Attributes:
        id: under which the run store keeps it.
        status: `answered`, `forced` (asked for at a limit), `limit` or `truncated` (ended without an answer).
        reason: why it ended, in words.
        usage: tokens, folds included.
        seconds: wall-clock time.
    """

    id: str
    task: str
    status: Status
    answer: str | None
    reason: str
    usage: Usage
    steps: int
    folds: int
    seconds: float


@dataclass(frozen=True)
class Circumstances:
    """What is particular to one run.

    Attributes:
        tools: a toolset that only this run has, entered; beside the agent's own.
        only: names of the agent's own tools that the run may use; None: all.
        seed: of sampling, instead of the one in the settings.
        refuse: says what is wrong with an answer, and the run goes on; None lets the answer stand.
    """

    tools: Toolset | None = None
    only: Collection[str] | None = None
    seed: int | None = None
    refuse: Callable[[str], str | None] = lambda answer: None


USUAL = Circumstances()


class Agent:
    """Runs tasks. As an async context manager it keeps model, tools and index open between runs.

    Args:
        model: a model, or the name of one (`embedded`, a config, a URL with a model name).
        tools: tools, typed functions, toolsets, or sources by name (`toolhop`, `python:my_tools.py`) or by settings.
        config: how the agent works.
        auxiliary: the model that folds memory; by default the main one.
        judge: the model that grades answers; by default the auxiliary one.
        vision: the model that looks at images.
        store: where runs are kept: a store (left open), a path, or None for the user's default.
        indexing: told the number of tools when an index has to be built, which may take a while.
        approve: asked before every call of a tool whose effect is `unsafe`; by default they are just made.
    """

    def __init__(
        self,
        model: str | Model = "embedded",
        tools: Iterable[ToolSource] = (),
        *,
        config: AgentConfig | None = None,
        auxiliary: str | Model | None = None,
        judge: str | Model | None = None,
        vision: str | Model | None = None,
        store: RunStore | Path | None = None,
        indexing: Callable[[int], None] = lambda count: None,
        approve: Approve | None = None,
    ) -> None:
        self.config = config or AgentConfig()
        self._models: dict[Role, str | Model | None] = {
            "main": model, "auxiliary": auxiliary, "judge": judge, "vision": vision
        }  # fmt: skip
        self._sources = tuple(tools)
        self._store = store
        self._indexing = indexing
        self._approve = approve
        self._stack: AsyncExitStack | None = None
        self._held: Resources | None = None
        self._sessions: WeakSet[Session] = WeakSet()

    def stop(self) -> int:
        """End the runs that are under way as soon as their current steps are done; they can be resumed.

        Returns:
            How many runs there are.
        """
        for session in self._sessions:
            session.stop()
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._held = await stack.enter_async_context(self._open())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        stack, self._stack, self._held = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    async def model(self, role: Role) -> Model:
        """The model of a role, for tools and scorers that need one; inside `async with` only.

        Raises:
            UsageError: the agent is not open, or no model is named for the role.
            OperatorError: it cannot be opened.
        """
        return await self._opened.models.get(role)

    @property
    def catalogue(self) -> Catalogue:
        """The tools that all runs share; inside `async with` only.

        Raises:
            UsageError: the agent is not open.
        """
        return self._opened.catalogue

    async def instructions(self) -> Opening:
        """What every run begins with, but for its task and tools; inside `async with` only.

        Raises:
            UsageError: the agent is not open.
        """
        model = await self._opened.models.get("main")
        allowed = abilities(self.config, len(self._opened.catalogue))
        return dialect(self.config, model, allowed).opening("", (), ())

    @property
    def _opened(self) -> Resources:
        if self._held is None:
            raise UsageError("the agent is not open: use it inside `async with`")
        return self._held

    async def run(
        self,
        task: str,
        *,
        benchmark: str | None = None,
        attachments: Sequence[Path] = (),
        circumstances: Circumstances = USUAL,
        hear: Callable[[Event | Delta], None] = lambda item: None,
    ) -> Run:
        """Work on a task to its end.

        Args:
            task: what to do, in words.
            benchmark: id of a benchmark task, kept with the run.
            attachments: files that the task is about; code finds read-only copies in its working directory.
            circumstances: what this run has or lacks beside others of the agent.
            hear: told every event as it is logged, and the model's text as it is written.

        Raises:
            UsageError: the task is empty or too large, or a source cannot be opened.
            OperatorError: model, sandbox or store failed; the run is in the store up to that point.
        """
        async with self._resources() as held:
            return await self._work(held, task, benchmark, attachments, circumstances, hear)

    def run_sync(self, task: str) -> Run:
        """`run` for code that is not async."""
        return asyncio.run(self.run(task))

    def stream(
        self,
        task: str,
        *,
        benchmark: str | None = None,
        attachments: Sequence[Path] = (),
        circumstances: Circumstances = USUAL,
    ) -> AsyncGenerator[Event | Delta]:
        """Work on a task, yielding every event as it is logged, and the model's text as it is written.

        Leaving the iteration early interrupts the run.
        """
        return self._stream(lambda held, hear: self._work(held, task, benchmark, attachments, circumstances, hear))

    async def resume(self, run: str, *, hear: Callable[[Event | Delta], None] = lambda item: None) -> Run:
        """Go on with a run that ended without an answer of its own, was interrupted, or whose process died.

        What its model wrote is not asked for again, and what its tools did is not done again. Its code is run again,
        with the recorded results of its tool calls, to have its variables back. Limits are those of this agent, and
        what was spent before counts.

        Args:
            run: its id.
            hear: told every event as it is logged, and the model's text as it is written.

        Raises:
            UsageError: there is no such run, it has its answer, or another process works on it.
            OperatorError: model, sandbox or store failed; the run can be resumed again.
        """
        async with self._resources() as held:
            return await self._work_on(held, run, hear)

    def stream_resumed(self, run: str) -> AsyncGenerator[Event | Delta]:
        """`resume`, yielding what is new as `stream` does."""
        return self._stream(lambda held, hear: self._work_on(held, run, hear))

    async def _stream(
        self, work: Callable[[Resources, Callable[[Event | Delta], None]], Coroutine[Any, Any, Run]]
    ) -> AsyncGenerator[Event | Delta]:
        heard: asyncio.Queue[Event | Delta | None] = asyncio.Queue()
        async with self._resources() as held:
            working = asyncio.create_task(work(held, heard.put_nowait))
            working.add_done_callback(lambda _: heard.put_nowait(None))
            try:
                while (item := await heard.get()) is not None:
                    yield item
                await working
            finally:
                working.cancel()
                await asyncio.wait([working])

    async def _work(
        self,
        held: Resources,
        task: str,
        benchmark: str | None,
        attachments: Sequence[Path],
        circumstances: Circumstances,
        hear: Callable[[Event | Delta], None],
    ) -> Run:
        if not task.strip():
            raise TaskError("the task is empty; say what to do")
        if task != well_formed(task):
            raise TaskError("the task is not valid text; give it in UTF-8")
        files = read_files(attachments)
        if files:
            task = f"{task}\n\nFiles in the working directory: {', '.join(files)}"
        log = held.store.new_run()
        session = await self._session(held, log, task, files, circumstances, hear)
        if files:
            log.keep_files(files, ATTACHED)
        return _run(log.id, task, await _traced(log, session.run(benchmark)))

    async def _work_on(self, held: Resources, run: str, hear: Callable[[Event | Delta], None]) -> Run:
        for toolset in held.toolsets:
            if isinstance(toolset, World):
                raise UsageError(f"run {run} cannot be resumed: what the tools of {toolset.name} act on is gone")
        log = held.store.open_run(run)
        try:
            events = log.events
            started, ended = events[0], Progress(events).ended
            if not isinstance(started, Started):
                raise StoreError(f"run {run}: it does not begin with its task; the file is damaged")
            if ended is not None and ended.answer is not None:
                raise UsageError(f"run {run} has its answer; to go on from one of its steps, fork it")
            session = await self._session(held, log, started.task, log.files(ATTACHED), USUAL, hear)
        except BaseException:
            log.release()
            raise
        return _run(run, started.task, await _traced(log, session.resume(events)))

    async def _session(
        self,
        held: Resources,
        log: RunLog,
        task: str,
        files: Mapping[str, bytes],
        circumstances: Circumstances,
        hear: Callable[[Event | Delta], None],
    ) -> Session:
        """What works on one run."""
        toolsets = [*held.toolsets, *([circumstances.tools] if circumstances.tools else [])]
        for toolset in toolsets:
            if isinstance(toolset, World):
                toolset.reset()
        environments = [toolset for toolset in toolsets if isinstance(toolset, Environment)]
        log.listeners.append(hear)
        RUN.set(log.id)
        special = circumstances.tools is not None or circumstances.only is not None
        catalogue = held.narrowed(circumstances.tools, circumstances.only) if special else held.catalogue
        config = self.config
        if circumstances.seed is not None:
            sampling = config.sampling.model_copy(update={"seed": circumstances.seed})
            config = config.model_copy(update={"sampling": sampling})
        allowed = abilities(config, len(catalogue))
        model = await held.models.get("main")
        means = Means(
            task=task,
            model=model,
            folder=make_folder(await held.models.get("auxiliary"), config.fold) if config.fold else None,
            dialect=dialect(config, model, allowed),
            abilities=allowed,
            catalogue=catalogue,
            config=config,
            log=log,
            approve=self._approve,
            pool=held.pool,
            attachments=files,
            over=lambda: any(environment.done for environment in environments),
            refuse=circumstances.refuse,
            sources=self._named_sources(),
            earlier=held.earlier,
        )
        session = Session(
            means,
            on_text=lambda text: hear(Delta(text=text)),
            on_restart=lambda: hear(Delta(text="", restarted=True)),
        )
        self._sessions.add(session)
        return session

    def _named_sources(self) -> Sources:
        """What the agent is made of, as far as it was given by name. Settings name the places of credentials only."""
        names = {role: name for role, name in self._models.items() if isinstance(name, str)}
        tools = [dict(one) if isinstance(one, Mapping) else one for one in self._sources]
        named = tuple(one for one in tools if isinstance(one, str) or (isinstance(one, dict) and _is_json(one)))
        return Sources(
            model=names.get("main"), auxiliary=names.get("auxiliary"), vision=names.get("vision"), tools=named
        )

    @asynccontextmanager
    async def _resources(self) -> AsyncIterator[Resources]:
        """What is held already, or resources for one run only."""
        if self._held is not None:
            yield self._held
        else:
            async with self._open() as opened:
                yield opened

    def _open(self) -> AbstractAsyncContextManager[Resources]:
        return open_resources(self._models, self._sources, self.config, self._store, self._indexing)


async def _traced(log: RunLog, work: Coroutine[Any, Any, Ended]) -> Ended:
    """Tell the run in logging and, where anybody listens, as spans."""
    log.listeners.append(partial(tracing.log_event, log.id))
    tracer = tracing.tracer(log.id)
    if tracer is None:
        return await work
    log.listeners.append(tracer.hear)
    try:
        return await work
    finally:
        tracer.close()


def _run(id: str, task: str, ended: Ended) -> Run:
    return Run(id=id, task=task, **ended.model_dump(exclude={"kind", "usage"}), usage=ended.usage)


def _is_json(settings: dict[str, Any]) -> bool:
    try:
        json.dumps(settings)
    except (TypeError, ValueError):
        return False
    return True
