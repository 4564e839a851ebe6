"""What runs inside the walls: one interpreter that keeps its variables from cell to cell.

The source of this file is handed to a bare `python -I -S -c`, so it needs nothing but the standard library, and
Python 3.11. Nothing in here protects the host: cells share this process and may do to it what they like. The
walls are `deepagent.sandbox.confinement`, the checks on what comes out are `deepagent.sandbox.frames`.

The host sends JSON lines: first the set-up, then `execute` frames, and `result` frames while a cell waits for a tool.
"""

from __future__ import annotations

import ast
import builtins
import io
import json
import linecache
import os
import resource
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

CO_COROUTINE = 0x80  # as inspect.CO_COROUTINE; that module takes longer to import than all the others here
LARGEST_CALL = 4 * 2**20  # characters of JSON; escaped text cannot pass the host's frame limit below this
DEEPEST_CALL = 150  # levels of lists and dicts; the host's JSON reader takes 200


class ToolError(Exception):
    """A tool refused or failed; the message says what to do."""


def shorten(text: str, limit: int) -> str:
    """The head and the tail of a text, `limit` characters together, with a note on what was cut between them."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters cut ...]\n{text[-half:]}"


class Channel:
    """The protocol pipes. They are kept away from fds 0 to 2, which belong to the cells."""

    def __init__(self, commands: int, frames: int) -> None:
        self._commands = commands
        self._frames = frames
        self._buffer = bytearray()
        self.sending = False
        self.closed = False

    def send(self, **frame: Any) -> None:
        """Write one frame whole; an interrupt waits until it is out."""
        data = memoryview(json.dumps(frame).encode("ascii") + b"\n")
        self.sending = True
        try:
            while data:
                data = data[os.write(self._frames, data) :]
        finally:
            self.sending = False

    def receive(self) -> dict[str, Any] | None:
        """The next frame, or None when the host is gone."""
        while (end := self._buffer.find(b"\n")) < 0:
            chunk = os.read(self._commands, 2**16)
            if not chunk:
                return None
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        frame: dict[str, Any] = json.loads(line)
        return frame

    def close(self) -> None:
        """Let go of the pipes: a forked child must not talk to the host."""
        if not self.closed:
            self.closed = True
            os.close(self._commands)
            os.close(self._frames)


class Worker:
    """Runs cells in one namespace and passes their tool calls to the host."""

    def __init__(self, channel: Channel, chars: int) -> None:
        self._channel = channel
        self._chars = chars
        self._running = False
        self._interrupted = False
        self._one_call = threading.Lock()
        self._calls = 0
        self._loop: Any = None
        self._output = sys.stdout
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self._globals = module.__dict__
        self._globals["ToolError"] = ToolError

    def serve(self) -> None:
        """Run cells until the host goes away."""
        self._channel.send(kind="ready")
        while (frame := self._channel.receive()) is not None:
            self._bind(frame["tools"])
            if frame["kind"] != "execute":  # the result of a call that was interrupted before it came
                continue
            outcome = self._run(frame["code"], frame["id"])
            if self._channel.closed:  # a child that the cell forked and let run on
                os._exit(0)
            self._channel.send(kind="done", id=frame["id"], **outcome)

    # Cells

    def _run(self, code: str, number: int) -> dict[str, str | None]:
        filename = f"<cell {number}>"
        linecache.cache[filename] = (len(code), None, f"{code}\n".splitlines(keepends=True), filename)
        self._interrupted = False
        signal.signal(signal.SIGINT, self._on_interrupt)
        self._prepare_output()
        value = error = kind = None
        try:
            parts = _compile(code, filename)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
            kind, error = "syntax", self._describe(problem)
        else:
            try:
                self._running = True
                try:
                    value = self._evaluate(parts)
                finally:
                    self._running = False
            except BaseException as problem:  # all of it belongs to the cell, SystemExit and KeyboardInterrupt too
                kind, error = "exception", self._describe(problem)
        self._flush_output()
        return {"value": value, "error": error, "error_kind": kind}

    def _evaluate(self, parts: list[types.CodeType]) -> str | None:
        """Run the statements, then the last expression; return how its value looks."""
        value = None
        for part in parts:
            value = eval(part, self._globals)  # noqa: S307 - running code is what this process is for
            if part.co_flags & CO_COROUTINE:
                value = self._await(value)
        if value is None:
            return None
        self._globals["_"] = value
        return shorten(_printable(repr(value)), self._chars)

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

    def _describe(self, problem: BaseException) -> str:
        """The traceback without the frames of this file: from the first line of a cell on."""
        try:
            summary = traceback.TracebackException.from_exception(problem)
            _keep_cells(summary)
            return shorten(_printable("".join(summary.format()).rstrip()), self._chars)
        except BaseException as second:  # an exception class of the cell can fail at being printed, in any way
            return f"{type(problem).__name__} (its message cannot be shown: {type(second).__name__})"

    def _on_interrupt(self, _signal: int, _frame: object) -> None:
        if self._channel.sending:
            self._interrupted = self._running
        elif self._running:
            raise KeyboardInterrupt

    # Output

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

    # Tools

    def _bind(self, tools: list[dict[str, Any]]) -> None:
        for tool in tools:
            self._globals[tool["identifier"]] = self._stub(tool)

    def _stub(self, tool: dict[str, Any]) -> Callable[..., Any]:
        name, identifier = tool["name"], tool["identifier"]
        parameters = {parameter["name"]: parameter for parameter in tool["parameters"]}
        order = list(parameters)

        def call(*args: Any, **kwargs: Any) -> Any:
            if len(args) > len(order):
                raise TypeError(f"{identifier}() takes at most {len(order)} arguments, {len(args)} were given")
            arguments = dict(zip(order, args, strict=False))
            for twice in arguments.keys() & kwargs.keys():
                raise TypeError(f"{identifier}() got two values for argument {twice!r}")
            arguments |= kwargs
            return self._call(name, {key: given for key, given in arguments.items() if not _left_out(key, given)})

        def _left_out(key: str, given: Any) -> bool:
            """Whether it is the None that the signature shows for an optional argument without a default."""
            return given is None and key in parameters and parameters[key]["omit_none"]

        call.__name__ = call.__qualname__ = identifier
        call.__module__ = "tools"
        call.__doc__ = tool["doc"]
        call.__signature__ = _signature(tool["parameters"])  # type: ignore[attr-defined]
        return call

    def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        if self._channel.closed:
            raise ToolError("tools cannot be called from a forked process; call them in the cell itself")
        arguments = _as_host_reads(arguments)
        if len(json.dumps(arguments)) > LARGEST_CALL:
            raise ToolError(f"the arguments of {name} are too large; pass less at a time")
        if _is_deeper(arguments, DEEPEST_CALL):
            raise ToolError(f"the arguments of {name} are nested too deeply; pass them flat")
        with self._one_call:
            self._calls += 1
            number = self._calls
            self._channel.send(kind="call", id=number, name=name, arguments=arguments)
            if self._interrupted:
                self._interrupted = False
                raise KeyboardInterrupt
            while (reply := self._channel.receive()) is not None:
                self._bind(reply["tools"])
                if reply["id"] == number:  # else it answers a call that was interrupted
                    break
            else:
                os._exit(0)
        if reply["error"] is not None:
            raise ToolError(reply["error"])
        return reply["value"]


def _compile(code: str, filename: str) -> list[types.CodeType]:
    """The cell as statements and, where it ends with one, its last expression. Top-level await is allowed."""
    tree = ast.parse(code, filename)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    parts = [compile(tree, filename, "exec", flags, dont_inherit=True)]
    if isinstance(last, ast.Expr):
        parts.append(compile(ast.Expression(last.value), filename, "eval", flags, dont_inherit=True))
    return parts


def _keep_cells(summary: traceback.TracebackException) -> None:
    """Drop the frames that are not lines of a cell, here and in the exceptions that led to this one."""
    frames = [frame for frame in summary.stack if frame.filename.startswith("<cell ")]
    summary.stack = traceback.StackSummary.from_list(frames)
    for other in (summary.__cause__, summary.__context__, *(summary.exceptions or ())):
        if other is not None:
            _keep_cells(other)


def _printable(text: str) -> str:
    """Text with halves of surrogate pairs spelled out: the host takes no frame with them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _as_host_reads(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON has them: whole pairs of surrogates are one character, and halves become question marks."""
    joined = json.loads(json.dumps(arguments))
    text = json.dumps(joined, ensure_ascii=False).encode("utf-8", "replace")
    read: dict[str, Any] = json.loads(text)
    return read


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and dicts stand in one another at more than so many levels."""
    if not isinstance(value, (list, dict)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deeper(one, levels - 1) for one in inner)


def _signature(parameters: list[dict[str, Any]]) -> Any:
    import inspect
    import keyword

    names = {one["name"] for one in parameters if one["name"].isidentifier() and not keyword.iskeyword(one["name"])}
    known = []
    for parameter in parameters:
        default = inspect.Parameter.empty if parameter["required"] else parameter["default"]
        if parameter["name"] in names:
            known.append(inspect.Parameter(parameter["name"], inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))
    if len(known) < len(parameters):  # what is no Python name can be passed as **{"the-name": ...}
        rest = "arguments"
        while rest in names:
            rest += "_"
        known.append(inspect.Parameter(rest, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(known)


def open_output() -> io.TextIOWrapper:
    """Text to fd 1; never raises for what cannot be encoded, and leaves the fd open when it is closed."""
    return open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _set_limits(setup: dict[str, Any]) -> None:
    limits = {
        resource.RLIMIT_AS: setup["memory"],
        resource.RLIMIT_FSIZE: setup["file_size"],
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
    }
    if setup["processes"] is not None:
        limits[resource.RLIMIT_NPROC] = setup["processes"]
    for limit, most in limits.items():
        hard = resource.getrlimit(limit)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (allowed, allowed))


def _die_with_parent() -> None:
    """Have the kernel kill this process when the host ends; inside the walls bubblewrap sees to it."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _help(topic: Any) -> None:
    import pydoc

    pydoc.Helper(output=sys.stdout)(topic)


def main() -> NoReturn:
    """Take the pipes away from the cells' fds, set the limits and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr = open_output()
    sys.argv = [""]
    vars(builtins).update(help=_help, exit=sys.exit, quit=sys.exit)  # which -S leaves out
    setup = channel.receive()
    if setup is None:
        os._exit(0)
    _set_limits(setup)
    if setup["die_with_parent"]:
        _die_with_parent()
    os.register_at_fork(after_in_child=channel.close)
    worker = Worker(channel, setup["chars"])
    try:
        worker.serve()
    except BaseException:  # whatever it is, this process is of no more use; the host sees it end
        os._exit(1)
    os._exit(0)  # not sys.exit: the cells' threads are not waited for


if __name__ == "__main__":
    main()
