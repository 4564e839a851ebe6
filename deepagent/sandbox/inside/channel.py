"""The pipes to the host, shared by the threads and event loops of the interpreter.

The main thread waits for commands; every tool call waits for its result, and many may wait at one time. There is no
thread for reading: whoever waits first reads for all, and an event loop reads when the pipe has something for it.
"""

from __future__ import annotations

import itertools
import os
import select

from deepagent.sandbox.inside.codec import decode, encode
from deepagent.sandbox.inside.locks import Condition, Lock, get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as half of the interpreter
    from collections.abc import Callable
    from typing import Any, NoReturn

    Frame = dict[str, Any]


class Interrupts:
    """Ctrl-C for the main thread. In the middle of a frame it waits, so that no frame is lost or cut in two.

    Attributes:
        allowed: a cell is running; there is something to interrupt.
    """

    def __init__(self) -> None:
        self.allowed = False
        self._held = 0
        self._waiting = False
        self._thread = get_ident()

    def on_signal(self, _signal: int, _frame: object) -> None:
        """Raise KeyboardInterrupt, or have the end of the frame do it."""
        if self.allowed and self._held:
            self._waiting = True
        elif self.allowed:
            raise KeyboardInterrupt

    def forget(self) -> None:
        """Drop an interrupt that came too late for its cell."""
        self._waiting = False

    def __enter__(self) -> None:
        if get_ident() == self._thread:
            self._held += 1

    def __exit__(self, *_: object) -> None:
        if get_ident() == self._thread:
            self._held -= 1
            if self._waiting and not self._held:
                self._waiting = False
                raise KeyboardInterrupt


class Channel:
    """Frames to and from the host, as JSON lines.

    Args:
        commands: the fd to read from.
        frames: the fd to write to.
        interrupts: what may end a wait.
        on_tools: is told of the tools that come with a frame.
    """

    def __init__(
        self, commands: int, frames: int, interrupts: Interrupts, on_tools: Callable[[list[Frame]], None]
    ) -> None:
        self._commands = commands
        self._frames = frames
        self._interrupts = interrupts
        self._on_tools = on_tools
        self._poll = select.poll()
        self._poll.register(commands, select.POLLIN)
        self._buffer = bytearray()
        self._sending = Lock()
        self._changed = Condition()
        self._reader: int | None = None  # the thread that reads for all
        self._numbers = itertools.count(1)
        self._queue: list[Frame] = []
        self._results: dict[int, Frame | None] = {}  # of calls that a thread waits for; None until it comes
        self._futures: dict[int, Any] = {}  # of calls that an event loop waits for
        self.closed = False

    def send(self, **frame: Any) -> None:
        """Write one frame whole."""
        data = memoryview(encode(frame))
        with self._interrupts, self._sending:
            while data:
                data = data[os.write(self._frames, data) :]

    def command(self) -> Frame:
        """Wait for the next frame that is not a result; the process ends when the host is gone."""
        while not self._queue:
            self._read_until(lambda: bool(self._queue))
        return self._queue.pop(0)

    def call(self, **frame: Any) -> Frame:
        """Have the host call a tool, and wait for the result."""
        number = next(self._numbers)
        self._results[number] = None
        try:
            self.send(kind="call", id=number, **frame)
            self._read_until(lambda: self._results[number] is not None)
            result = self._results[number]
            assert result is not None
            return result
        finally:
            del self._results[number]

    async def call_later(self, **frame: Any) -> Frame:
        """Have the host call a tool, and let the event loop run until the result is there."""
        import asyncio

        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        future: asyncio.Future[Frame] = loop.create_future()
        self._futures[number] = future
        loop.add_reader(self._commands, self._read_what_is_there)
        try:
            self.send(kind="call", id=number, **frame)
            return await future
        finally:
            del self._futures[number]
            if not any(other.get_loop() is loop for other in list(self._futures.values())):
                loop.remove_reader(self._commands)

    def close(self) -> None:
        """Let go of the pipes: a forked child must not talk to the host."""
        if not self.closed:
            self.closed = True
            os.close(self._commands)
            os.close(self._frames)

    def _read_until(self, satisfied: Callable[[], bool]) -> None:
        me = get_ident()
        while True:
            with self._changed:
                # That this thread reads already means that an interrupt threw it out of the reading.
                while not satisfied() and self._reader not in (None, me):
                    self._changed.wait()
                if satisfied():
                    return
                self._reader = me
            try:
                if self._interrupts.allowed:
                    self._poll.poll()  # so that an interrupt comes here, and not while the frame is read
                self._take()
            finally:
                self._stop_reading()

    def _read_what_is_there(self) -> None:
        """For an event loop: never blocks."""
        me = get_ident()
        with self._changed:
            if self._reader not in (None, me):  # another thread will read it
                return
            self._reader = me
        try:
            if self._poll.poll(0):
                self._take()
        finally:
            self._stop_reading()

    def _stop_reading(self) -> None:
        with self._changed:
            self._reader = None
            self._changed.notify_all()

    def _take(self) -> None:
        """Read what is there and hand out the frames that are whole."""
        with self._interrupts:
            chunk = os.read(self._commands, 2**16)
            if not chunk:
                end_process(0)
            searched = len(self._buffer)
            self._buffer += chunk
            while (end := self._buffer.find(b"\n", searched)) >= 0:
                frame = decode(self._buffer[:end])
                del self._buffer[: end + 1]
                searched = 0
                self._hand_out(frame)

    def _hand_out(self, frame: Frame) -> None:
        if "tools" in frame:
            self._on_tools(frame["tools"])
        number = frame.get("id", 0)
        if frame["kind"] != "result":
            self._queue.append(frame)
        elif number in self._results:
            self._results[number] = frame
        elif number in self._futures:
            future = self._futures[number]
            try:
                future.get_loop().call_soon_threadsafe(_settle, future, frame)
            except RuntimeError:  # its event loop has been closed: nobody waits any more
                return


def _settle(future: Any, frame: Frame) -> None:
    if not future.done():
        future.set_result(frame)


def end_process(status: int) -> NoReturn:
    """End at once: the cells' threads are not waited for, and what they registered is not run."""
    os._exit(status)
