"""One worker process as the host sees it: frames to and fro, what it prints, and a way to end it all."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deepagent.errors import SandboxError
from deepagent.sandbox import groups, leftovers, program
from deepagent.sandbox.bubblewrap import BUILDERS
from deepagent.sandbox.capture import Capture
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.frames import FRAME_BYTES, ForgedFrameError, Frame, Ready, parse_frame
from deepagent.sandbox.passage import unavailable
from deepagent.sandbox.pipes import PIPE_BYTES, Pipes
from deepagent.sandbox.walls import Enclosure, Walls
from deepagent.sandbox.workspace import Left, collect, read_one

START_SECONDS = 20
"""How long an interpreter may take to start on a machine under heavy load."""

PATIENCE = 0.0002
"""Seconds for which an answer is awaited without the event loop: its machinery costs as much as a short cell."""

_END_SECONDS = 2.0  # for a worker to be gone after it closed its pipes, or was killed
_DYING_SECONDS = 0.002
_SELECTABLE = 1024  # select takes fds below this
_PIECE = 2**20  # bytes of a file that go into one frame


class WorkerLostError(Exception):
    """The worker is gone, or must go because it can no longer be trusted; says why."""


class WorkerProcess:
    """A running interpreter. Make it with `start`, end it with `stop`.

    Args:
        enclosure: the walls around it, and it.
        pipes: the pipes to it.
        config: its limits.
    """

    def __init__(self, enclosure: Enclosure, pipes: Pipes, config: SandboxConfig) -> None:
        self._enclosure = enclosure
        self._process = enclosure.process
        self._pipes = pipes
        self._config = config
        self._capture = Capture(config.output_chars)
        self._incoming = bytearray()
        self._searched = 0  # bytes of it in which there is no end of a line
        self._outgoing = bytearray()
        self._flushing = asyncio.Lock()
        self._folder: int | None = None  # the workspace
        self._started = False

    @classmethod
    async def start(cls, config: SandboxConfig, walls: Walls) -> WorkerProcess:
        """Start an interpreter and wait until it is ready.

        Raises:
            SandboxUnavailableError: this machine cannot confine it.
            SandboxError: it cannot be started for another reason.
            ConfigError: a package that it should have is not installed.
        """
        leftovers.clear_once((Path(tempfile.gettempdir()), *groups.leftovers()))
        pipes = Pipes()
        try:
            enclosure = walls.enclose(program.command(), pipes, config)
        except OSError as error:
            pipes.close()
            raise SandboxError(f"the sandbox's interpreter did not start: {error}") from error
        except BaseException:
            pipes.close()
            raise
        pipes.close_inside()
        self = cls(enclosure, pipes, config)
        try:
            await self._set_up(walls.setup(config))
        except BaseException:
            await self.stop()
            raise
        return self

    async def _set_up(self, setup: dict[str, Any]) -> None:
        self._outgoing += program.code()
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.send({"kind": "setup", "chars": self._config.output_chars, **setup})
                if not isinstance(await self.receive(), Ready):
                    raise WorkerLostError("it did not say that it is ready")
            self._enclosure.ready()
            self._started = True
            self._folder = self._enclosure.workspace()
        except (WorkerLostError, TimeoutError, OSError, ValueError) as error:
            words = self.output() or str(error) or f"it was not ready within {START_SECONDS} s"
            if words.startswith(BUILDERS):
                raise unavailable(words) from error
            raise SandboxError(f"the sandbox's interpreter did not start: {' '.join(words.split())[:500]}") from error

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    async def put(self, name: str, data: bytes, *, read_only: bool) -> None:
        """Make a file in the workspace; cells find it there.

        Raises:
            WorkerLostError: the worker is gone.
        """
        for start in range(0, max(1, len(data)), _PIECE):
            text = base64.b64encode(data[start : start + _PIECE]).decode("ascii")
            last = start + _PIECE >= len(data)
            frame = {"kind": "put", "name": name, "data": text, "first": not start, "read_only": read_only and last}
            await self.send(frame)

    async def ask(self, frame: dict[str, Any]) -> Frame | None:
        """Write a frame, and wait a moment for the answer; None when it takes longer.

        Raises:
            WorkerLostError: the worker has ended, or wrote what is not a frame.
        """
        self._outgoing += _line(frame)
        await self._push()
        fd = self._pipes.frames
        if not self._outgoing and fd < _SELECTABLE and select.select([fd], [], [], PATIENCE)[0]:
            await self._fill()
        return self._next()

    async def send(self, frame: dict[str, Any]) -> None:
        """Write one frame whole, also where others are being written.

        Raises:
            WorkerLostError: nobody reads it.
        """
        self._outgoing += _line(frame)
        await self.flush()

    async def flush(self) -> None:
        """Write what has not been written yet.

        Raises:
            WorkerLostError: nobody reads it.
        """
        await self._push()
        if self._outgoing:
            loop = asyncio.get_running_loop()
            async with self._flushing:
                while self._outgoing:
                    await _ready(loop.add_writer, loop.remove_writer, self._pipes.commands)
                    await self._push()

    async def receive(self) -> Frame:
        """Wait for the next frame.

        Raises:
            WorkerLostError: the worker has ended, or wrote what is not a frame.
        """
        loop = asyncio.get_running_loop()
        while (frame := self._next()) is None:
            await _ready(loop.add_reader, loop.remove_reader, self._pipes.frames)
            await self._fill()
        return frame

    @contextlib.contextmanager
    def capturing(self) -> Iterator[None]:
        """Read what the worker prints for the time of a cell; between cells the pipe fills up and holds it back."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipes.output, self._read_output, loop)
        try:
            yield
        finally:
            loop.remove_reader(self._pipes.output)

    def output(self) -> str:
        """What was printed since the last call. All that was written before the last frame is in it."""
        with contextlib.suppress(BlockingIOError):
            self._capture.feed(os.read(self._pipes.output, PIPE_BYTES))
        return self._capture.take()

    def interrupt(self) -> None:
        """Ask the running cell to end, as Ctrl-C would: the interpreter and the processes that it started."""
        self._enclosure.interrupt()

    async def stop(self) -> None:
        """End the worker and every process in it; may be called again."""
        self._pipes.close()
        self._enclosure.kill()
        self._close_folder()
        try:
            async with asyncio.timeout(_END_SECONDS if self._started else START_SECONDS):
                await self._ended()
                while not self._enclosure.remove():  # noqa: ASYNC110 - nobody tells when the last process is gone
                    await asyncio.sleep(_DYING_SECONDS)
        except TimeoutError:  # its builder is stuck; the others die with it
            self._process.kill()
            await self._ended()
        finally:
            if self._process.poll() is None:  # this was cancelled: wait without the loop, but not for long
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_SECONDS)
                self._process.kill()
                self._process.wait()
            self._enclosure.remove()

    async def rescue(self) -> Left:
        """End the worker, then read the files that it left in the workspace."""
        folder, self._folder = self._folder, None
        await self.stop()
        if folder is None:
            return Left({})
        try:
            return await asyncio.to_thread(collect, folder, most_bytes=self._config.workspace_mb * 2**20)
        finally:
            os.close(folder)

    def read_file(self, path: str, *, most_bytes: int) -> bytes | str | None:
        """A file of the workspace as it is now; see `read_one`."""
        return None if self._folder is None else read_one(self._folder, path, most_bytes=most_bytes)

    def _close_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(folder)

    async def _push(self) -> None:
        """Write as much as the pipe takes."""
        try:
            while self._outgoing:
                del self._outgoing[: os.write(self._pipes.commands, self._outgoing)]
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise WorkerLostError(await self._how_it_ended()) from None

    async def _fill(self) -> None:
        """Read what has arrived."""
        chunk = os.read(self._pipes.frames, PIPE_BYTES)
        if not chunk:
            raise WorkerLostError(await self._how_it_ended())
        self._incoming += chunk

    def _next(self) -> Frame | None:
        """The next frame among what has arrived."""
        end = self._incoming.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._incoming)
            if self._searched > FRAME_BYTES:
                raise WorkerLostError(f"it wrote more than {FRAME_BYTES:,} bytes to the host at once")
            return None
        line = self._incoming[:end]
        del self._incoming[: end + 1]
        self._searched = 0
        try:
            return parse_frame(line)
        except ForgedFrameError as error:
            raise WorkerLostError(f"it broke the protocol with the host ({error})") from error

    async def _how_it_ended(self) -> str:
        """Its end in words; waits for it, as the pipe closes a little earlier."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                status = await self._ended()
        except TimeoutError:
            return "it closed its pipes to the host"
        number = -status if status < 0 else status - 128  # bubblewrap reports signals as a shell does
        cause = self._enclosure.cause()
        words = f"it ended with exit status {status}"
        if 0 < number < signal.NSIG:
            with contextlib.suppress(ValueError):
                words = f"it was killed by {signal.Signals(number).name}"
        return f"{words}: {cause}" if cause else words

    async def _ended(self) -> int:
        """Wait for the end of the process without a thread. Returns its exit status."""
        if self.alive:
            loop = asyncio.get_running_loop()
            handle = os.pidfd_open(self._process.pid)
            try:
                await _ready(loop.add_reader, loop.remove_reader, handle)
            finally:
                os.close(handle)
        return self._process.wait()

    def _read_output(self, loop: asyncio.AbstractEventLoop) -> None:
        chunk = os.read(self._pipes.output, PIPE_BYTES)
        self._capture.feed(chunk)
        if not chunk:  # all writers are gone; the loop would call this for ever
            loop.remove_reader(self._pipes.output)


def _line(frame: dict[str, Any]) -> bytes:
    return json.dumps(frame).encode("ascii") + b"\n"


async def _ready(add: Callable[..., object], remove: Callable[[int], object], fd: int) -> None:
    """Wait until a pipe can be read or written."""
    future = asyncio.get_running_loop().create_future()
    add(fd, _resolve, future)
    try:
        await future
    finally:
        remove(fd)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
