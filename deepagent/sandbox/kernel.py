"""The host's side of the sandbox: runs cells, answers their tool calls, keeps the time.

One kernel is one interpreter whose variables live from cell to cell. When it is lost (killed at the time limit,
crashed, or distrusted) the next cell gets a new one with the same tools and the files that the old one left, and the
model is told that its variables are gone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self

from deepagent.actions import Frozen
from deepagent.errors import ConfigError, SandboxError, ToolError
from deepagent.sandbox.builders import builder
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.frames import FRAME_BYTES, Done, Frame, ToolCall
from deepagent.sandbox.inside.text import shorten
from deepagent.sandbox.pool import Pool
from deepagent.sandbox.process import WorkerLostError, WorkerProcess
from deepagent.sandbox.walls import Walls
from deepagent.sandbox.workspace import Left
from deepagent.tools import ToolSpec, render_result

GRACE_SECONDS = 2.0
"""How long an interrupted cell may take to end before it is killed."""

MOST_CALLS = 64
"""Tool calls of one cell that run at one time; more wait in the pipe."""

_NAME_CHARS = 100  # longest name of a picture that is believed

ToolCaller = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls a tool by name with JSON arguments; raises `ToolError` for what the model may try again."""


class Execution(Frozen):
    """What running a cell led to.

    Attributes:
        output: what it printed, stdout and stderr in the order of printing, cut to the limit.
        value: its last expression as `repr` shows it; None when there is none or it is None.
        error: what went wrong, with the lines of the cell that led there.
        error_kind: `syntax` (nothing was run), `exception`, `timeout` or `crash` (the interpreter is gone).
        answer: what it passed to `final_answer`.
        pictures: files of the workspace that show what it drew.
        restarted: the variables of earlier cells are gone.
        seconds: wall-clock time, the start of an interpreter included.
    """

    output: str
    value: str | None = None
    error: str | None = None
    error_kind: Literal["syntax", "exception", "timeout", "crash"] | None = None
    answer: str | None = None
    pictures: tuple[str, ...] = ()
    restarted: bool = False
    seconds: float


class Kernel:
    """A confined Python interpreter that keeps its variables, with the run's tools as functions.

    It starts with the first cell. Cells run one at a time; the tool calls of a cell may run at one time.

    Args:
        config: limits.
        call_tool: called for each tool call of a cell whose name was bound; without it no tool can be called.
            A `ToolError` is raised again in the cell. Any other error ends the interpreter and leaves `execute`.
        attachments: files that cells find in their workspace, content by name; they are read-only copies.
        pool: where interpreters come from, entered, and with the same config; by default each is started when it is
            needed.
        walls: what encloses the interpreter; by default what the config says.
    """

    def __init__(
        self,
        config: SandboxConfig | None = None,
        *,
        call_tool: ToolCaller | None = None,
        attachments: Mapping[str, bytes] | None = None,
        pool: Pool | None = None,
        walls: Walls | None = None,
    ) -> None:
        self.config = config or SandboxConfig()
        self._call_tool = call_tool
        self._attachments = dict(attachments or {})
        self._pool = pool
        self._walls = walls or builder(self.config)
        self._worker: WorkerProcess | None = None
        self._left = Left({})
        self._tools: dict[str, ToolSpec] = {}
        self._names: set[str] = set()
        self._unsent: list[str] = []
        self._open: dict[int, ToolCall] = {}  # calls that wait for their result
        self._cells = 0
        self._limit: asyncio.Timeout | None = None  # of the cell that runs
        self._waits = 0
        self._lost = False
        self._closed = False
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop()

    @property
    def used(self) -> bool:
        """Whether any cell was run, or file put in."""
        return self._cells > 0 or bool(self._left.files)

    @property
    def alive(self) -> bool:
        """Whether there is an interpreter with the variables of earlier cells."""
        return self._worker is not None and self._worker.alive

    async def bind(self, specs: Sequence[ToolSpec]) -> None:
        """Make tools callable as functions named `ToolSpec.identifier`, from the next cell or tool result on.

        Where two tools have the same identifier, the one that was bound last is meant.
        """
        for spec in specs:
            self._tools[spec.identifier] = spec
            self._names.add(spec.name)
            self._unsent.append(spec.identifier)

    async def execute(self, code: str) -> Execution:
        """Run a cell. What it does is never an exception here, it is told in the result.

        Raises:
            SandboxUnavailableError: this machine cannot confine code.
            SandboxError: the interpreter cannot be started, or the kernel is closed.
            ConfigError: a package that the config names is not installed, or the attachments do not fit.
        """
        async with self._lock:
            started = time.monotonic()
            worker = await self._running_worker()
            restarted, self._lost = self._lost, False
            try:
                fields = await self._run_cell(worker, code)
            except BaseException:
                await self._discard()
                raise
            return Execution(**{"restarted": restarted, **fields}, seconds=time.monotonic() - started)

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """The cell's time stands still: a tool call waits for a person."""
        limit, clock = self._limit, asyncio.get_running_loop().time
        when = limit.when() if limit is not None and not self._waits else None
        began = clock()
        self._waits += 1
        try:
            if limit is not None and when is not None:
                limit.reschedule(None)
            yield
        finally:
            self._waits -= 1
            if limit is not None and when is not None and limit is self._limit:
                limit.reschedule(when + clock() - began)

    async def put(self, files: Mapping[str, bytes]) -> None:
        """Put files into the workspace, in the place of those that have these names.

        Raises:
            SandboxError: the interpreter is gone.
        """
        async with self._lock:
            if self._worker is None:
                self._left = Left({**self._left.files, **files})
                return
            try:
                for name, data in files.items():
                    await self._worker.put(name, data, read_only=False)
            except WorkerLostError as lost:
                raise SandboxError(f"files could not be put into the workspace: {lost}") from lost

    async def forget(self) -> None:
        """Lose the variables of earlier cells; the files stay, and nobody is told."""
        async with self._lock:
            await self._discard()
            self._lost = False

    async def collect(self) -> Left:
        """End the interpreter and read the files that its code left, attachments not counted.

        A later cell gets a new interpreter that finds the files again.
        """
        async with self._lock:
            await self._discard()
            return self._left

    def read_file(self, path: str, *, most_bytes: int) -> bytes | str | None:
        """A file that code has written, also while a cell runs; see `read_one`."""
        if self._worker is not None:
            return self._worker.read_file(path, most_bytes=most_bytes)
        return self._left.files.get(path)

    async def _running_worker(self) -> WorkerProcess:
        if self._closed:
            raise SandboxError("the kernel is closed; make a new one to run code")
        if self._worker is not None and not self._worker.alive:
            await self._discard()
        if self._worker is None:
            self._unsent = list(self._tools)
            self._worker = await self._new_worker()
        return self._worker

    async def _new_worker(self) -> WorkerProcess:
        size, room = sum(map(len, self._attachments.values())), self.config.workspace_mb * 2**20
        if size > room:
            raise ConfigError(
                f"the attachments have {size:,} bytes, and the workspace only {room:,}; raise sandbox.workspace_mb"
            )
        worker = await (self._pool.lease() if self._pool else WorkerProcess.start(self.config, self._walls))
        try:
            for name, data in self._left.files.items():
                await worker.put(name, data, read_only=False)
            for name, data in self._attachments.items():
                await worker.put(name, data, read_only=True)
        except WorkerLostError as lost:
            await worker.stop()
            raise SandboxError(f"files could not be put into the workspace: {lost}") from lost
        except BaseException:
            await worker.stop()
            raise
        return worker

    async def _discard(self) -> None:
        """End the interpreter; the next cell is told that the variables are gone, and finds the files."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self._lost = True
            self._open.clear()
            left = await worker.rescue()
            files = {name: data for name, data in left.files.items() if name not in self._attachments}
            self._left = Left(files, left.skipped)

    async def _run_cell(self, worker: WorkerProcess, code: str) -> dict[str, Any]:
        """The fields of an `Execution`."""
        self._cells += 1
        late = False
        try:
            frame = await worker.ask({"kind": "execute", "id": self._cells, "code": code, "tools": self._take_unsent()})
            if not isinstance(frame, Done):
                with worker.capturing():
                    try:
                        frame = await self._in_time(worker, frame)
                    except _LateError:
                        late = True
                        frame = await self._interrupt(worker)
            if frame.id != self._cells:
                raise WorkerLostError(f"it broke the protocol with the host (it ended cell {frame.id}, not this one)")
        except WorkerLostError as lost:
            output = worker.output()
            await self._discard()
            self._lost = False  # told right here
            return self._after_loss(output, str(lost), late)
        return self._after_end(worker.output(), frame, late)

    async def _in_time(self, worker: WorkerProcess, frame: Frame | None) -> Done:
        try:
            async with asyncio.timeout(self.config.seconds) as limit:
                self._limit = limit
                return await self._converse(worker, frame)
        except TimeoutError:
            if limit.expired():
                raise _LateError from None
            raise
        finally:
            self._limit = None

    async def _converse(self, worker: WorkerProcess, frame: Frame | None) -> Done:
        """Answer the tool calls of a cell, as they come, until it is done."""
        running: set[asyncio.Task[None]] = set()
        await worker.flush()
        try:
            async with asyncio.TaskGroup() as group:
                while not isinstance(frame, Done):
                    if isinstance(frame, ToolCall):
                        task = group.create_task(self._answer(worker, self._opened(frame)))
                        running.add(task)
                        task.add_done_callback(running.discard)
                    elif frame is not None:
                        raise WorkerLostError("it broke the protocol with the host (ready again)")
                    if len(running) >= MOST_CALLS:
                        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    frame = await worker.receive()
                for task in running:  # of threads that outlive the cell
                    task.cancel()
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        await self._refuse_open(worker, "the cell ended before the tool did")
        return frame

    async def _interrupt(self, worker: WorkerProcess) -> Done:
        """End a cell that is past its time, and keep the variables where it lets us."""
        refusal = "the time limit of the cell is reached"
        worker.interrupt()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._refuse_open(worker, refusal)
                while not isinstance(frame := await worker.receive(), Done):
                    if isinstance(frame, ToolCall):
                        self._opened(frame)
                        await self._refuse_open(worker, refusal)
        except TimeoutError:
            raise WorkerLostError("it could not be interrupted") from None
        return frame

    def _opened(self, call: ToolCall) -> ToolCall:
        if call.id in self._open:
            raise WorkerLostError("it broke the protocol with the host (two calls of one number)")
        self._open[call.id] = call
        return call

    async def _answer(self, worker: WorkerProcess, call: ToolCall) -> None:
        value: Any = None
        error: str | None = None
        if self._call_tool is None or call.name not in self._names:
            error = f"{call.name!r} is not a tool of this run; search for it first"
        else:
            try:
                value = _as_json(await self._call_tool(call.name, call.arguments))
            except ToolError as problem:
                error = str(problem)
        await worker.send(_result(self._open.pop(call.id), self._take_unsent(), value=value, error=error))

    async def _refuse_open(self, worker: WorkerProcess, error: str) -> None:
        while self._open:
            _, call = self._open.popitem()
            await worker.send(_result(call, [], error=error))

    def _take_unsent(self) -> list[dict[str, Any]]:
        unsent, self._unsent = self._unsent, []
        return [_described(self._tools[identifier]) for identifier in dict.fromkeys(unsent)]

    def _late(self) -> str:
        return f"TimeoutError: the cell did not end within {self.config.seconds:g} s"

    def _after_end(self, output: str, done: Done, late: bool) -> dict[str, Any]:
        chars = self.config.output_chars
        fields: dict[str, Any] = {"output": output}
        for name in ("value", "error", "answer"):
            text = getattr(done, name)
            fields[name] = None if text is None else _bounded(text, chars)
        fields["pictures"] = tuple(_bounded(name, _NAME_CHARS) for name in done.pictures)
        if not late:
            return {**fields, "error_kind": done.error_kind}
        message = f"{self._late()} and was interrupted; variables are kept"
        fields["error"] = f"{message}\n{fields['error']}" if fields["error"] else message
        return {**fields, "error_kind": "timeout"}

    def _after_loss(self, output: str, reason: str, late: bool) -> dict[str, Any]:
        story = _bounded(f"{self._late()}: {reason}" if late else f"the interpreter is gone: {reason}", 1000)
        kept = "; the files are kept" if self._left.files else ""
        return {
            "output": output,
            "error": f"{story}; it is started anew and all variables are gone{kept}",
            "error_kind": "timeout" if late else "crash",
            "restarted": True,
        }


class _LateError(Exception):
    """The cell has used up its time."""


def _bounded(text: str, limit: int) -> str:
    """The worker has cut it already, with a note; more than that it cannot make us keep."""
    return text if len(text) <= limit + 100 else shorten(text, limit)


def _result(
    call: ToolCall, tools: list[dict[str, Any]], *, value: Any = None, error: str | None = None
) -> dict[str, Any]:
    if error is None and len(json.dumps(value)) > FRAME_BYTES:
        error = f"the result of {call.name} is larger than {FRAME_BYTES:,} bytes; ask for less at a time"
    return {"kind": "result", "id": call.id, "value": None if error else value, "error": error, "tools": tools}


def _as_json(value: Any) -> Any:
    """A result as the cell gets it: text as it is, else what JSON makes of it, else its text."""
    text = render_result(value)
    if isinstance(value, str):
        return value
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _described(spec: ToolSpec) -> dict[str, Any]:
    """What the worker needs to make a function of a tool; parameters in the order of `ToolSpec.signature`."""
    properties, required = spec.properties, spec.required
    parameters = [
        {
            "name": name,
            "required": name in required,
            "default": _as_json(properties[name].get("default")),
            "omit_none": name not in required and "default" not in properties[name],
        }
        for name in [*required, *(name for name in properties if name not in required)]
    ]
    return {"name": spec.name, "identifier": spec.identifier, "doc": spec.card, "parameters": parameters}
