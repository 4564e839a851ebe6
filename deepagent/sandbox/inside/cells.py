"""Runs cells in one namespace that lives from cell to cell."""

from __future__ import annotations

import io
import os
import sys
import types

from deepagent.sandbox.inside import pictures
from deepagent.sandbox.inside.text import printable, shorten
from deepagent.sandbox.inside.tools import ToolError, make_function

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as half of the interpreter
    import traceback
    from typing import Any

    from deepagent.sandbox.inside.channel import Channel, Frame, Interrupts

_CO_COROUTINE = 0x80  # as inspect.CO_COROUTINE
_ONLY_AST = 0x400  # as ast.PyCF_ONLY_AST; both modules take long to import
_TOP_LEVEL_AWAIT = 0x2000

_signal: Any = sys.modules["_signal"]  # the module signal looks up enums, which takes ten times as long

_AWAITED_A_TOOL = ("can't be used in 'await' expression", "a coroutine or an awaitable is required", "gather(")
_AIO = "tools are plain functions; to await one, or to run many at one time, write await tool.aio(...)"


class FinalAnswer(BaseException):
    """Ends the cell that called final_answer; no `except Exception` takes it for an error."""


class Cells:
    """The namespace and what runs in it.

    Args:
        chars: longest value and longest error that is told.
        interrupts: ends a cell on SIGINT.
    """

    def __init__(self, chars: int, interrupts: Interrupts) -> None:
        self._chars = chars
        self._interrupts = interrupts
        self._folder = os.getcwd()
        self._loop: Any = None
        self._output = sys.stdout
        self._answer: str | None = None
        self._sources: dict[str, str] = {}  # of cells that the module linecache does not know yet
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self._globals = module.__dict__
        self._globals.update(ToolError=ToolError, final_answer=self._final_answer)

    def bind(self, tools: list[Frame], channel: Channel) -> None:
        """Define the functions of tools."""
        for tool in tools:
            self._globals[tool["identifier"]] = make_function(tool, channel)

    def run(self, code: str, cell: int) -> Frame:
        """Run a cell to its end, whatever that is, and tell how it ended."""
        filename = f"<cell {cell}>"
        self._sources[filename] = code
        if "linecache" in sys.modules:
            self._show_sources()
        self._answer = None
        self._interrupts.forget()
        _signal.signal(_signal.SIGINT, self._interrupts.on_signal)
        self._prepare_output()
        shown = error = kind = None
        saved: list[str] = []
        try:
            parts = _compile(code, filename)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
            kind, error = "syntax", self._describe(problem)
        else:
            try:
                self._interrupts.allowed = True
                try:
                    value = self._evaluate(parts)
                    shown = None if value is None else shorten(printable(repr(value)), self._chars)
                    saved = pictures.save(cell, value, self._folder)
                finally:
                    self._interrupts.allowed = False
            except FinalAnswer:
                pass
            except BaseException as problem:  # all of it belongs to the cell, SystemExit and KeyboardInterrupt too
                kind, error = "exception", self._describe(problem)
        self._flush_output()
        return {"value": shown, "error": error, "error_kind": kind, "answer": self._answer, "pictures": saved}

    def _evaluate(self, parts: list[types.CodeType]) -> Any:
        """Run the statements, then the last expression; return its value."""
        value = None
        for part in parts:
            value = eval(part, self._globals)  # noqa: S307 - running code is what this process is for
            if part.co_flags & _CO_COROUTINE:
                value = self._await(value)
        if value is not None:
            self._globals["_"] = value
        return value

    def _await(self, coroutine: Any) -> Any:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()
            raise

    def _final_answer(self, value: Any) -> None:
        """End the task with this answer."""
        self._answer = shorten(printable(str(value)), self._chars)
        raise FinalAnswer

    def _describe(self, problem: BaseException) -> str:
        """The traceback from the first line of a cell on, without the frames of libraries and of this program."""
        try:
            import traceback  # takes long to import: only when there is something to tell

            self._show_sources()
            summary = traceback.TracebackException.from_exception(problem)
            _keep_cells(summary)
            text = "".join(summary.format()).rstrip()
            if isinstance(problem, TypeError) and any(words in text for words in _AWAITED_A_TOOL):
                text += f" ({_AIO})"
            return shorten(printable(text), self._chars)
        except BaseException as second:  # an exception class of the cell can fail at being printed, in any way
            return f"{type(problem).__name__} (its message cannot be shown: {type(second).__name__})"

    def _show_sources(self) -> None:
        """Let tracebacks quote the cells."""
        import linecache

        while self._sources:
            name, code = self._sources.popitem()
            linecache.cache[name] = (len(code), None, f"{code}\n".splitlines(keepends=True), name)

    def _prepare_output(self) -> None:
        """One stream for stdout and stderr, so that their order is kept."""
        if self._output.closed:
            self._output = open_output()
        sys.stdout = sys.stderr = self._output

    def _flush_output(self) -> None:
        for stream in {id(stream): stream for stream in (sys.stdout, sys.stderr, self._output)}.values():
            try:
                stream.flush()
            except (ValueError, OSError, AttributeError):  # the cell closed it, or put something else there
                continue


def open_output() -> io.TextIOWrapper:
    """Text to fd 1; never raises for what cannot be encoded, and leaves the fd open when it is closed."""
    return open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _compile(code: str, filename: str) -> list[types.CodeType]:
    """The cell as statements and, where it ends with one, its last expression. Top-level await is allowed."""
    import _ast

    tree: Any = compile(code, filename, "exec", _ONLY_AST, dont_inherit=True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
    parts = [compile(tree, filename, "exec", _TOP_LEVEL_AWAIT, dont_inherit=True)]
    if last is not None:
        parts.append(compile(_ast.Expression(last.value), filename, "eval", _TOP_LEVEL_AWAIT, dont_inherit=True))
    return parts


def _keep_cells(summary: traceback.TracebackException) -> None:
    """Drop the frames that are not lines of a cell, here and in the exceptions that led to this one."""
    import traceback

    frames = [frame for frame in summary.stack if frame.filename.startswith("<cell ")]
    summary.stack = traceback.StackSummary.from_list(frames)
    for other in (summary.__cause__, summary.__context__, *(summary.exceptions or ())):
        if other is not None:
            _keep_cells(other)
