"""Interpreters that are started ahead, so that a run need not wait for its own.

A run leases one and ends it; none is ever used twice. Not more than a few start at one time, however many runs begin
at once: starting is work for the processor, and a storm of it would only make everyone wait longer.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from types import TracebackType
from typing import Self

from deepagent.errors import SandboxError
from deepagent.sandbox.builders import builder
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.process import WorkerProcess
from deepagent.sandbox.walls import Walls

_LATER = 0.02
"""Seconds before another is started in the place of one that was leased: its first cell comes first."""


class Pool:
    """Interpreters of one configuration, for kernels of one event loop.

    Args:
        config: their limits; `warm` of them are kept ready.
        walls: what encloses them; by default what the config says.
    """

    def __init__(self, config: SandboxConfig, *, walls: Walls | None = None) -> None:
        self.config = config
        self._walls = walls or builder(config)
        self._at_once = asyncio.Semaphore(os.cpu_count() or 1)
        self._ahead: deque[asyncio.Task[WorkerProcess]] = deque()
        self._closed = False

    async def __aenter__(self) -> Self:
        self._refill()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        await _end(*self._ahead)
        self._ahead.clear()

    async def lease(self) -> WorkerProcess:
        """An interpreter for the caller alone, who stops it.

        Raises:
            SandboxError: none can be started, or the pool is closed.
        """
        while True:
            if self._closed:
                raise SandboxError("the pool is closed; enter it before its kernels run code")
            task = self._ahead.popleft() if self._ahead else asyncio.create_task(self._start())
            self._refill(_LATER)
            try:
                worker = await asyncio.shield(task)
            except asyncio.CancelledError:
                if self._closed:
                    await _end(task)
                else:
                    self._ahead.appendleft(task)  # for the next who comes
                raise
            if worker.alive:
                return worker
            await worker.stop()

    def _refill(self, after: float = 0) -> None:
        while len(self._ahead) < self.config.warm:
            self._ahead.append(asyncio.create_task(self._start(after)))

    async def _start(self, after: float = 0) -> WorkerProcess:
        await asyncio.sleep(after)
        async with self._at_once:
            return await WorkerProcess.start(self.config, self._walls)


async def _end(*tasks: asyncio.Task[WorkerProcess]) -> None:
    """End what was started ahead, also when this is cancelled meanwhile."""
    ending = asyncio.gather(*map(_end_one, tasks))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end_one(task: asyncio.Task[WorkerProcess]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await task.result().stop()
