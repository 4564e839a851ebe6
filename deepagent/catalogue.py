"""All tools that an agent can reach: by name, and by search when there are many."""

from __future__ import annotations

import asyncio
import difflib
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from deepagent.errors import IndexFormatError, ToolDefinitionError
from deepagent.retrieval import Encoder, Hit, ToolIndex
from deepagent.tools import Tool


class Catalogue:
    """Tools by name, with an index that is built on the first search.

    Args:
        tools: the tools; names must be unique.
        encoder: makes the encoder when the index is built, so that no weights are loaded before.
        cache: folder in which built indexes are kept between runs; None keeps none.
        indexing: told when the index is about to be built, with the number of tools.

    Raises:
        ToolDefinitionError: two tools have one name.
    """

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        encoder: Callable[[], Encoder],
        cache: Path | None = None,
        indexing: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ToolDefinitionError(f"two tools are named {tool.name!r}; rename one of them")
            self._tools[tool.name] = tool
        self._encoder = encoder
        self._cache = cache
        self._indexing = indexing
        self._index: ToolIndex | None = None
        self._building = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def tools(self) -> list[Tool]:
        """All tools."""
        return list(self._tools.values())

    def get(self, name: str) -> Tool | None:
        """The tool of this name, also under its name as a Python identifier."""
        found = self._tools.get(name)
        return found or next((tool for tool in self._tools.values() if tool.spec.identifier == name), None)

    def nearest(self, name: str) -> list[str]:
        """Known names that look like this one."""
        return difflib.get_close_matches(name, self._tools, n=3)

    async def search(self, query: str, k: int) -> list[Hit]:
        """The tools that fit a description best."""
        async with self._building:
            if self._index is None:
                self._index = await asyncio.to_thread(self._open_or_build)
        return await asyncio.to_thread(self._index.search, query, k)

    def _open_or_build(self) -> ToolIndex:
        specs = [tool.spec for tool in self._tools.values()]
        encoder = self._encoder()
        folder = (
            self._cache / _fingerprint(encoder.name, [spec.model_dump_json() for spec in specs])
            if self._cache
            else None
        )
        if folder is not None and folder.exists():
            try:
                return ToolIndex.open(folder, encoder=encoder)
            except IndexFormatError:
                pass  # a cache of an older format or a damaged one: build it again
        self._indexing(len(specs))
        index = ToolIndex.build(specs, encoder=encoder)
        if folder is not None:
            index.save(folder)
        return index


def _fingerprint(encoder: str, specs: list[str]) -> str:
    digest = hashlib.sha256(encoder.encode())
    for spec in sorted(specs):
        digest.update(spec.encode())
    return digest.hexdigest()[:24]
