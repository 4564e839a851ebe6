"""All tools that an agent can reach: by name, and by search when there are many."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from deepagent.errors import IndexFormatError, OperatorError, ToolDefinitionError
from deepagent.memory.recall import RECALL
from deepagent.reranking import Reranker
from deepagent.retrieval import Encoder, Hit, ToolIndex
from deepagent.tools import Tool
from deepagent.toolsets.functions import in_daemon_thread
from deepagent.toolsets.indexed import IndexedTools


class Catalogue:
    """Tools by name, with an index that is built on the first search.

    Args:
        tools: the tools, or what gives them as they are now; names must be unique.
        encoder: makes the encoder when the index is built, so that no weights are loaded before.
        cache: folder in which built indexes are kept between runs; None keeps none.
        indexing: told when texts are about to be encoded, with their number.
        reranker: puts first what a model chooses among the tools that were found.
        indexed: tools of an index on disk, beside which the others are found; it has its encoder. A tool of the same
            name as one of the others is not there.

    Raises:
        ToolDefinitionError: two tools have one name.
    """

    def __init__(
        self,
        tools: Iterable[Tool] | Callable[[], Sequence[Tool]],
        *,
        encoder: Callable[[], Encoder],
        cache: Path | None = None,
        indexing: Callable[[int], None] = lambda count: None,
        reranker: Reranker | None = None,
        indexed: IndexedTools | None = None,
    ) -> None:
        fixed = () if callable(tools) else tuple(tools)
        self._source = tools if callable(tools) else lambda: fixed
        self._seen: Sequence[Tool] = ()
        self._known: dict[str, Tool] = {}
        self._building: asyncio.Future[ToolIndex] | None = None
        self._encoder = encoder
        self._cache = cache
        self._indexing = indexing
        self._reranker = reranker
        self._indexed = indexed
        self._tools  # noqa: B018 (what is wrong with the names is known before a run begins)

    @property
    def _tools(self) -> dict[str, Tool]:
        """The tools by name; when their source has changed, the index is built anew by the next search."""
        now = self._source()
        if now is self._seen:
            return self._known
        known: dict[str, Tool] = {}
        for tool in now:
            if tool.name in known:
                raise ToolDefinitionError(f"two tools are named {tool.name!r}; rename one of them")
            if tool.name == RECALL:
                raise ToolDefinitionError(f"the name {tool.name!r} is built in; rename your tool")
            known[tool.name] = tool
        self._seen, self._known, self._building = now, known, None
        return known

    def __len__(self) -> int:
        own = self._tools
        if self._indexed is None:
            return len(own)
        index = self._indexed.index
        return len(index) + sum(name not in index for name in own)

    def __iter__(self) -> Iterator[Tool]:
        """All tools; those of an index last, since it may hold very many."""
        own = self._tools
        yield from own.values()
        for name in self._indexed.index.names if self._indexed else ():
            if name not in own and (tool := self.get(name)) is not None:
                yield tool

    @property
    def retriever(self) -> str:
        """Name of what embeds tools for search."""
        return (self._encoder() if self._indexed is None else self._indexed.index.encoder).name

    def get(self, name: str) -> Tool | None:
        """The tool of this name, also under its name as a Python identifier, but for those of an index."""
        own = self._tools
        found = own.get(name) or next((tool for tool in own.values() if tool.spec.identifier == name), None)
        return found or (self._indexed.get(name) if self._indexed and name != RECALL else None)

    def nearest(self, name: str) -> list[str]:
        """Known names that look like this one."""
        return difflib.get_close_matches(name, self._tools, n=3)

    async def search(self, query: str, k: int) -> list[Hit]:
        """The tools that fit a description best."""
        self._tools  # noqa: B018 (notices a change)
        if self._building is None or _failed(self._building):
            # One task for all who wait: who gives up waiting does not end it, and it does not keep the process alive.
            self._building = asyncio.ensure_future(in_daemon_thread(self._open_or_build, {}))
        index: ToolIndex = await asyncio.shield(self._building)
        depth = k if self._reranker is None else max(k, self._reranker.candidates)
        found: list[Hit] = await in_daemon_thread(index.search, {"query": query, "k": depth})
        return found if self._reranker is None else (await self._reranker.order(query, found))[:k]

    def _open_or_build(self) -> ToolIndex:
        tools = self._known
        specs = [tool.spec for tool in tools.values()]
        if self._indexed is not None:
            return self._indexed.index.updated(specs, progress=self._told)
        encoder = self._encoder()
        folder = self._cache / _fingerprint(encoder.name, tools) if self._cache else None
        previous = None
        if folder is not None and folder.exists():
            with contextlib.suppress(IndexFormatError):  # of an older format, or damaged: it is built again
                previous = ToolIndex.open(folder, encoder=encoder)
        index = ToolIndex.build(specs, encoder=encoder, previous=previous, progress=self._told)
        if folder is not None and index is not previous:
            with contextlib.suppress(OperatorError):  # the index is here; only the next start will be slower
                index.save(folder)
        return index

    def _told(self, done: int, count: int) -> None:
        if not done:
            self._indexing(count)


def _failed(building: asyncio.Future[ToolIndex]) -> bool:
    """Whether it was broken off, with the run that began it, or went wrong: the next search tries again."""
    return building.done() and (building.cancelled() or building.exception() is not None)


def _fingerprint(encoder: str, names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join([encoder, *sorted(names)]).encode()).hexdigest()[:24]
