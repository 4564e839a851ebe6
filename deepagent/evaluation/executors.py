"""Who runs the episodes: a bounded number at a time, results as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Protocol

from deepagent.evaluation.base import BenchmarkTask
from deepagent.evaluation.results import EpisodeResult
from deepagent.evaluation.worker import Work

Assignment = tuple[BenchmarkTask, int]
"""A task and a seed."""


class Executor(Protocol):
    """Runs episodes somewhere."""

    def run(self, assignments: Iterable[Assignment]) -> AsyncGenerator[EpisodeResult]:
        """Run all, yielding each result as soon as it is there. Closing the generator cancels what is in flight."""
        ...


class AsyncioExecutor:
    """Runs episodes side by side in this process.

    Args:
        worker: runs one.
        concurrency: most that are in flight.
    """

    def __init__(self, worker: Work, concurrency: int) -> None:
        self._worker = worker
        self._concurrency = concurrency

    async def run(self, assignments: Iterable[Assignment]) -> AsyncGenerator[EpisodeResult]:
        """See `Executor.run`. An episode is a task of its own, so that what it sets for itself stays its own."""
        waiting = iter(assignments)
        running: set[asyncio.Task[EpisodeResult]] = set()
        try:
            while True:
                while len(running) < self._concurrency and (next_one := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self._worker.episode(*next_one)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=lambda task: task.exception() is not None):  # none is lost by another
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
