"""The tools of an index on disk: found by search, and called through the sources that they come from.

However many they are, a tool is read when it is found, and its source opened when it is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from deepagent.errors import ToolFailedError, ToolRefusedError, UnknownToolError, UsageError
from deepagent.retrieval import Entry, ToolIndex
from deepagent.retrieval.choice import open_index
from deepagent.tools import Arguments, Tool, check_arguments
from deepagent.toolsets.base import Host, Toolset
from deepagent.toolsets.resolve import open_toolset
from deepagent.toolsets.sources import expand

_MOST_OPEN = 32


class IndexConfig(BaseModel):
    """An index that `deepagent index build` made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["index"] = "index"
    folder: Path
    """Where it is."""
    encoder: str | None = None
    """What it was built with, if it is not an encoder of ours."""
    call: tuple[str, ...] | None = None
    """Sources whose tools may be called, as they were given to `deepagent index build`. By default OpenAPI documents,
    without those for which a server was named: opening one starts nothing and leads to public addresses only."""


class IndexedTools:
    """The toolset.

    An index only says where its tools come from; which of these places are opened is for its user to say, since opening
    one can start a program.

    Args:
        index: the tools.
        may_call: whether tools of a source may be called, which is spelled as the index has it.
        host: what toolsets may use.
        name: of the toolset.
    """

    def __init__(self, index: ToolIndex, may_call: Callable[[str], bool], host: Host, name: str = "index") -> None:
        self.index = index
        self.name = name
        self._may_call = may_call
        self._host = host
        self._known: dict[str, Tool] = {}
        self._open: dict[str, _Opened] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._open:
            _, opened = self._open.popitem()
            await opened.close()

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        """All of them. They are read from disk, which takes a while for very many: an agent never asks for them."""
        return tuple(tool for spec in self.index.specs if (tool := self.get(spec.name)) is not None)

    def get(self, name: str) -> Tool | None:
        """The tool of a name, always the same object."""
        if name not in self._known and (entry := self.index.entry(name)) is not None:
            self._known[name] = self._tool(entry)
        return self._known.get(name)

    def can_call(self, name: str) -> bool:
        """Whether there is a tool of this name whose source may be opened."""
        entry = self.index.entry(name)
        return entry is not None and self._can_open(entry)

    def _can_open(self, entry: Entry) -> bool:
        return bool(entry.source) and self._may_call(entry.source)

    def _tool(self, entry: Entry) -> Tool:
        async def invoke(arguments: Arguments) -> Any:
            async with self._live(entry) as tool:
                return await tool.invoke(check_arguments(tool.spec, arguments))

        async def preview(arguments: Arguments) -> str:
            async with self._live(entry) as tool:
                if tool.preview is None:
                    raise ToolRefusedError(f"{tool.name} sends no request, so there is none to show")
                return await tool.preview(check_arguments(tool.spec, arguments))

        if self._can_open(entry):
            return Tool(entry.spec, invoke, preview)
        return Tool(entry.spec.model_copy(update={"effect": "pure"}), invoke)  # so that nobody is asked to approve it

    @asynccontextmanager
    async def _live(self, entry: Entry) -> AsyncIterator[Tool]:
        """The tool as its source has it now.

        Raises:
            ToolError: it cannot be called, or not as the index tells of it.
        """
        name = entry.spec.name
        if not self._can_open(entry):
            why = "its source is not open to calls" if entry.source else "its catalogue only describes it"
            raise ToolRefusedError(f"{name} can be found here, but not called: {why}")
        async with self._opened(entry.source) as toolset:
            tool = next((tool for tool in toolset.tools if tool.name == (entry.original or name)), None)
            if tool is None:
                raise UnknownToolError(f"{name} is no longer offered by its source; search for another tool")
            if tool.spec.effect == "unsafe" and entry.spec.effect != "unsafe":  # nobody was asked for approval
                raise ToolRefusedError(f"{name} is not as harmless as the index says; it must be built anew first")
            yield replace(tool, spec=tool.spec.model_copy(update={"name": name}))

    @asynccontextmanager
    async def _opened(self, source: str) -> AsyncIterator[Toolset]:
        """The open toolset of a source, which stays open for later calls."""
        opened = self._open.pop(source, None) or _Opened(source, self._host)
        self._open[source] = opened  # as the latest
        opened.users += 1
        try:
            yield await opened.toolset()
        finally:
            opened.users -= 1
            for idle in [one for one in self._open.values() if not one.users][: max(0, len(self._open) - _MOST_OPEN)]:
                del self._open[idle.source]
                await idle.close()


class _Opened:
    """A source that is open, or being opened."""

    def __init__(self, source: str, host: Host) -> None:
        self.source = source
        self.users = 0
        self._host = host
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._toolset: Toolset | None = None

    async def toolset(self) -> Toolset:
        async with self._lock:
            if self._toolset is None:
                try:  # in a thread: a large document takes seconds to read
                    made = await asyncio.to_thread(open_toolset, self.source, self._host)
                    self._toolset = await self._stack.enter_async_context(made)
                except UsageError as error:
                    raise ToolFailedError(f"the tool's source cannot be opened: {error}") from error
            return self._toolset

    async def close(self) -> None:
        await self._stack.aclose()


def open_indexed(config: IndexConfig, host: Host) -> IndexedTools:
    """The toolset of an index on disk.

    Raises:
        UsageError: a source to call is none.
        IndexFormatError: there is no index, or it was built with another encoder.
    """
    may_call = _starts_nothing if config.call is None else named(config.call)
    index = open_index(config.folder, config.encoder)
    return IndexedTools(index, may_call, host, config.folder.resolve().name)


def named(words: Iterable[str]) -> Callable[[str], bool]:
    """Whether a source is among those that words name, as on the command line.

    Raises:
        UsageError: a word names nothing.
    """
    return frozenset(source.where for source in expand(words)).__contains__


def _starts_nothing(source: str) -> bool:
    kind, _, where = source.partition(":")
    return kind == "openapi" and "#" not in where
