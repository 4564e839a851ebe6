"""The host's side of the sandbox: runs cells, answers their tool calls, keeps the time.

One kernel is one interpreter whose variables live from cell to cell. When it is lost (killed at the time limit,
crashed, or distrusted) the next cell gets a new one with the same tools, and the model is told that its variables
are gone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from deepagent.actions import Frozen
from deepagent.errors import SandboxError, ToolError
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.frames import FRAME_BYTES, Done, Ready, ToolCall
from deepagent.sandbox.process import WorkerLostError, WorkerProcess
from deepagent.sandbox.worker import shorten
from deepagent.tools import ToolSpec, render_result

GRACE_SECONDS = 2.0
"""How long an interrupted cell may take to end before it is killed."""

ToolCaller = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls a tool by name with JSON arguments; raises `ToolError` for what the model may try again."""


class Execution(Frozen):
    """What running a cell led to.

    Attributes:
        output: what it printed, stdout and stderr in the order of printing, cut to the limit.
        value: its last expression as `repr` shows it; None when there is none or it is None.
        error: what went wrong, with the lines of the cell that led there.
        error_kind: `syntax` (nothing was run), `exception`, `timeout` or `crash` (the interpreter is gone).
        restarted: the variables of earlier cells are gone.
        seconds: wall-clock time, the start of an interpreter included.
    """

    output: str
    value: str | None = None
    error: str | None = None
    error_kind: Literal["syntax", "exception", "timeout", "crash"] | None = None
    restarted: bool = False
    seconds: float


class Kernel:
    """A confined Python interpreter that keeps its variables, with the run's tools as functions.

    It starts with the first cell. Cells run one at a time.

    Args:
        config: limits.
        call_tool: called for each tool call of a cell whose name was bound; without it no tool can be called.
            A `ToolError` is raised again in the cell. Any other error ends the interpreter and leaves `execute`.
    """

    def __init__(self, config: SandboxConfig | None = None, *, call_tool: ToolCaller | None = None) -> None:
        self.config = config or SandboxConfig()
        self._call_tool = call_tool
        self._worker: WorkerProcess | None = None
        self._tools: dict[str, ToolSpec] = {}
        self._names: set[str] = set()
        self._unsent: list[str] = []
        self._cells = 0
        self._lost = False
        self._closed = False
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        await self._discard()

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
        """
        async with self._lock:
            started = time.monotonic()
            worker = await self._running_worker()
            restarted, self._lost = self._lost, False
            try:
                with worker.capturing():
                    execution = await self._run_cell(worker, code)
            except BaseException:
                await self._discard()
                raise
            restarted = restarted or execution.restarted
            return execution.model_copy(update={"restarted": restarted, "seconds": time.monotonic() - started})

    async def _running_worker(self) -> WorkerProcess:
        if self._closed:
            raise SandboxError("the kernel is closed; make a new one to run code")
        if self._worker is not None and not self._worker.alive:
            await self._discard()
        if self._worker is None:
            self._unsent = list(self._tools)
            self._worker = await WorkerProcess.start(self.config)
        return self._worker

    async def _discard(self) -> None:
        """End the interpreter; the next cell is told that the variables are gone."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self._lost = True
            await worker.stop()

    async def _run_cell(self, worker: WorkerProcess, code: str) -> Execution:
        self._cells += 1
        late = False
        try:
            try:
                async with asyncio.timeout(self.config.seconds) as limit:
                    done = await self._converse(worker, self._cells, code)
            except TimeoutError:
                if not limit.expired():
                    raise
                late = True
                done = await self._interrupt(worker, self._cells)
        except WorkerLostError as lost:
            output = worker.output()
            await self._discard()
            self._lost = False  # told right here
            return self._after_loss(output, str(lost), late)
        return self._after_end(worker.output(), done, late)

    async def _converse(self, worker: WorkerProcess, cell: int, code: str) -> Done:
        """Have the worker run a cell, and answer its tool calls until it is done."""
        await worker.send({"kind": "execute", "id": cell, "code": code, "tools": self._take_unsent()})
        while not isinstance(frame := await worker.receive(), Done):
            if isinstance(frame, Ready):
                raise WorkerLostError("it broke the protocol with the host (ready again)")
            await worker.send(await self._answer(frame))
        return _checked(frame, cell)

    async def _interrupt(self, worker: WorkerProcess, cell: int) -> Done:
        """End a cell that is past its time, and keep the variables where it lets us."""
        worker.interrupt()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                while not isinstance(frame := await worker.receive(), Done):
                    if isinstance(frame, ToolCall):
                        await worker.send(_result(frame, [], error="the time limit of the cell is reached"))
        except TimeoutError:
            raise WorkerLostError("it could not be interrupted") from None
        return _checked(frame, cell)

    async def _answer(self, call: ToolCall) -> dict[str, Any]:
        if self._call_tool is None or call.name not in self._names:
            return _result(call, [], error=f"{call.name!r} is not a tool of this run; search for it first")
        try:
            value = await self._call_tool(call.name, call.arguments)
        except ToolError as error:
            return _result(call, self._take_unsent(), error=str(error))
        return _result(call, self._take_unsent(), value=_as_json(value))

    def _take_unsent(self) -> list[dict[str, Any]]:
        unsent, self._unsent = self._unsent, []
        return [_described(self._tools[identifier]) for identifier in dict.fromkeys(unsent)]

    def _late(self) -> str:
        return f"TimeoutError: the cell did not end within {self.config.seconds:g} s"

    def _after_end(self, output: str, done: Done, late: bool) -> Execution:
        chars = self.config.output_chars
        value = None if done.value is None else _bounded(done.value, chars)
        error = None if done.error is None else _bounded(done.error, chars)
        if not late:
            return Execution(output=output, value=value, error=error, error_kind=done.error_kind, seconds=0)
        message = f"{self._late()} and was interrupted; variables are kept"
        error = f"{message}\n{error}" if error else message
        return Execution(output=output, value=value, error=error, error_kind="timeout", seconds=0)

    def _after_loss(self, output: str, reason: str, late: bool) -> Execution:
        story = f"{self._late()}: {reason}" if late else f"the interpreter is gone: {reason}"
        return Execution(
            output=output,
            error=f"{_bounded(story, self.config.output_chars)}; it is started anew and all variables are gone",
            error_kind="timeout" if late else "crash",
            restarted=True,
            seconds=0,
        )


def _checked(done: Done, cell: int) -> Done:
    if done.id != cell:
        raise WorkerLostError(f"it broke the protocol with the host (it says cell {done.id} is done, not {cell})")
    return done


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
