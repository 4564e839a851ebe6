"""One worker process as the host sees it: pipes, a process group, and a way to end it all."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from deepagent.errors import SandboxError
from deepagent.sandbox import confinement, seccomp, worker
from deepagent.sandbox.capture import Capture
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.frames import FRAME_BYTES, ForgedFrameError, Frame, Ready, parse_frame
from deepagent.sandbox.pipes import PIPE_BYTES, Pipes

START_SECONDS = 20
"""How long an interpreter may take to start on a machine under heavy load."""

_END_SECONDS = 1.0  # for a worker that closed its pipes to be gone


class WorkerLostError(Exception):
    """The worker is gone, or must go because it can no longer be trusted; says why."""


class WorkerProcess:
    """A running interpreter. Make it with `start`, end it with `stop`.

    Args:
        process: the outermost process, which ends with the others.
        pipes: the pipes to it.
        folder: its working directory where there are no walls.
        output_chars: how much of the output to keep for each cell.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        pipes: Pipes,
        folder: tempfile.TemporaryDirectory[str] | None,
        output_chars: int,
    ) -> None:
        self._process = process
        self._pipes = pipes
        self._folder = folder
        self._capture = Capture(output_chars)
        self._buffer = bytearray()
        self._group = process.pid
        self._torn = False

    @classmethod
    async def start(cls, config: SandboxConfig) -> WorkerProcess:
        """Start an interpreter and wait until it is ready.

        Raises:
            SandboxUnavailableError: this machine cannot confine it.
            SandboxError: it cannot be started for another reason.
        """
        pipes = Pipes()
        folder = tempfile.TemporaryDirectory(prefix="deepagent-", ignore_cleanup_errors=True) if config.unsafe else None
        try:
            process = _spawn(config, pipes, folder)
        except OSError as error:
            pipes.close()
            raise SandboxError(f"the sandbox's interpreter did not start: {error}") from error
        except BaseException:
            pipes.close()
            raise
        pipes.close_inside()
        self = cls(process, pipes, folder, config.output_chars)
        try:
            await self._set_up(config)
        except BaseException:
            await self.stop()
            raise
        return self

    async def _set_up(self, config: SandboxConfig) -> None:
        setup = {
            "chars": config.output_chars,
            "memory": config.memory_mb * 2**20,
            "file_size": config.workspace_mb * 2**20,
            # Outside the walls the limit would count all of the user's processes.
            "processes": None if config.unsafe else config.processes,
            "die_with_parent": config.unsafe,
        }
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.send(setup)
                if not isinstance(await self.receive(), Ready):
                    raise WorkerLostError("it did not say that it is ready")
        except (WorkerLostError, TimeoutError) as error:
            words = self.output() or str(error) or f"it was not ready within {START_SECONDS} s"
            if not config.unsafe and words.startswith(confinement.BUILDERS):
                raise confinement.unavailable(words) from error
            raise SandboxError(f"the sandbox's interpreter did not start: {' '.join(words.split())[:500]}") from error
        if not config.unsafe:
            self._group = json.loads(os.read(self._pipes.info, PIPE_BYTES))["child-pid"]

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

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

    async def send(self, frame: dict[str, Any]) -> None:
        """Write one frame.

        Raises:
            WorkerLostError: nobody reads it.
        """
        data = memoryview(json.dumps(frame).encode("ascii") + b"\n")
        self._torn = True
        loop = asyncio.get_running_loop()
        while data:
            try:
                data = data[os.write(self._pipes.commands, data) :]
            except BlockingIOError:
                await _ready(loop.add_writer, loop.remove_writer, self._pipes.commands)
            except BrokenPipeError:
                raise WorkerLostError(await self._how_it_ended()) from None
        self._torn = False

    async def receive(self) -> Frame:
        """Wait for the next frame.

        Raises:
            WorkerLostError: the worker has ended, or wrote what is not a frame.
        """
        loop = asyncio.get_running_loop()
        end = self._buffer.find(b"\n")
        while end < 0:
            if len(self._buffer) > FRAME_BYTES:
                raise WorkerLostError(f"it wrote more than {FRAME_BYTES:,} bytes to the host at once")
            await _ready(loop.add_reader, loop.remove_reader, self._pipes.frames)
            chunk = os.read(self._pipes.frames, PIPE_BYTES)
            if not chunk:
                raise WorkerLostError(await self._how_it_ended())
            found = chunk.find(b"\n")
            end = len(self._buffer) + found if found >= 0 else -1
            self._buffer += chunk
        line = self._buffer[:end]
        del self._buffer[: end + 1]
        try:
            return parse_frame(line)
        except ForgedFrameError as error:
            raise WorkerLostError(f"it broke the protocol with the host ({error})") from error

    def interrupt(self) -> None:
        """Ask the running cell to end, as Ctrl-C would: the interpreter and the processes that it started.

        Raises:
            WorkerLostError: it is in the middle of a frame and could not make sense of the rest.
        """
        if self._torn:
            raise WorkerLostError("it stopped reading")
        self._signal(signal.SIGINT)

    async def stop(self) -> None:
        """End the worker and every process in it; may be called again."""
        self._signal(signal.SIGKILL)
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._pipes.close()
        await self._ended()
        if self._folder is not None:
            self._folder.cleanup()

    async def _how_it_ended(self) -> str:
        """Its end in words; waits for it, as the pipe closes a little earlier."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                status = await self._ended()
        except TimeoutError:
            return "it closed its pipes to the host"
        number = -status if status < 0 else status - 128  # bubblewrap reports signals as a shell does
        if 0 < number < signal.NSIG:
            with contextlib.suppress(ValueError):
                return f"it was killed by {signal.Signals(number).name}"
        return f"it ended with exit status {status}"

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

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, number)

    def _read_output(self, loop: asyncio.AbstractEventLoop) -> None:
        chunk = os.read(self._pipes.output, PIPE_BYTES)
        self._capture.feed(chunk)
        if not chunk:  # all writers are gone; the loop would call this for ever
            loop.remove_reader(self._pipes.output)


@functools.cache
def worker_source() -> str:
    """The program that runs inside, as text: its file may not be readable there."""
    return Path(worker.__file__).read_text(encoding="utf-8")


def _spawn(
    config: SandboxConfig, pipes: Pipes, folder: tempfile.TemporaryDirectory[str] | None
) -> subprocess.Popen[bytes]:
    """Start the process. Not with asyncio: cancelled half-way, that kills only the first process of the sandbox."""
    program = [confinement.interpreter(), "-I", "-S", "-c", worker_source()]
    if folder is not None:
        environment = confinement.ENVIRONMENT | {"HOME": folder.name, "TMPDIR": folder.name}
        return _popen(program, pipes, cwd=folder.name, env=environment)
    with seccomp.opened() as filter_fd:
        program = confinement.confined(
            program, workspace_mb=config.workspace_mb, info_fd=pipes.info_inside, filter_fd=filter_fd
        )
        kept = [fd for fd in (pipes.info_inside, filter_fd) if fd is not None]
        return _popen(program, pipes, cwd="/", env={}, pass_fds=kept)


def _popen(
    program: list[str], pipes: Pipes, *, cwd: str, env: dict[str, str], pass_fds: Collection[int] = ()
) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr = pipes.inside
    return subprocess.Popen(  # noqa: S603 - our own command line
        program,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        pass_fds=pass_fds,
        start_new_session=True,
    )


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
