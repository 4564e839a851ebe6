"""Searching for many callers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from deepagent.errors import BusyError
from deepagent.retrieval import Hit, ToolIndex
from deepagent.retrieval.embedding import encoded_queries
from deepagent.retrieval.index import checked_query

_MOST_AT_ONCE = 32
_MOST_WAITING = 512


@dataclass(frozen=True)
class _Wish:
    parts: list[str]
    k: int
    toolset: str | None
    answer: asyncio.Future[list[Hit]]


class BatchSearch:
    """Searches an index in a thread of its own. Queries that arrive while it is busy are encoded together.

    An async context manager; nobody waits for company: an idle searcher begins at once.

    Args:
        index: what is searched.
    """

    def __init__(self, index: ToolIndex) -> None:
        self.index = index
        self._waiting: asyncio.Queue[_Wish] = asyncio.Queue(_MOST_WAITING)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        self._thread.shutdown()

    async def search(self, query: str, k: int, *, toolset: str | None = None) -> list[Hit]:
        """As `ToolIndex.search`.

        Raises:
            InvalidArgumentsError: the query is empty.
            UsageError: `k` is less than 1.
            BusyError: too many others wait.
        """
        wish = _Wish(checked_query(query, k), k, toolset, asyncio.get_running_loop().create_future())
        try:
            self._waiting.put_nowait(wish)
        except asyncio.QueueFull as error:
            raise BusyError("the server is busy; ask again in a moment") from error
        return await wish.answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _MOST_AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            wanted = [wish for wish in batch if not wish.answer.done()]  # others have gone away meanwhile
            if wanted:
                await loop.run_in_executor(self._thread, self._answer, loop, wanted)

    def _answer(self, loop: asyncio.AbstractEventLoop, wishes: Sequence[_Wish]) -> None:
        """Encode everything in one go, then search for each; every caller is answered as soon as possible."""
        try:
            vectors = encoded_queries(self.index.encoder, [wish.parts for wish in wishes])
        except (
            Exception
        ) as error:  # whatever an encoder raises: it is every caller's answer, and the next batch is tried
            for wish in wishes:
                loop.call_soon_threadsafe(_fail, wish.answer, error)
            return
        end = 0
        for wish in wishes:
            start, end = end, end + len(wish.parts)
            try:
                hits = self.index.search_encoded(wish.parts, vectors[start:end], wish.k, toolset=wish.toolset)
            except Exception as error:  # this caller's alone; were it raised, nobody would ever be answered again
                loop.call_soon_threadsafe(_fail, wish.answer, error)
            else:
                loop.call_soon_threadsafe(_set, wish.answer, hits)


def _set(answer: asyncio.Future[list[Hit]], hits: list[Hit]) -> None:
    if not answer.done():
        answer.set_result(hits)


def _fail(answer: asyncio.Future[list[Hit]], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
