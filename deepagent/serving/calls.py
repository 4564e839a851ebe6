"""Calling the tools of an index through the sources that they come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from deepagent.errors import ToolFailedError, ToolRefusedError, UnknownToolError, UsageError
from deepagent.invocation import invoke
from deepagent.retrieval import ToolIndex
from deepagent.tools import Arguments, ToolSpec
from deepagent.toolsets.base import Host, Toolset
from deepagent.toolsets.resolve import open_toolset

_MOST_OPEN = 32


class Caller:
    """Opens a source when one of its tools is called first. An async context manager.

    An index only says where its tools come from; which of these places are opened is for whoever serves it to say,
    since opening one can start a program.

    Args:
        index: the tools.
        sources: which sources may be opened, as the index spells them.
        host: what toolsets may use.
        unsafe: whether tools may be called whose effect is unsafe.
        seconds: time limit of a call.
    """

    def __init__(
        self, index: ToolIndex, sources: Iterable[str], host: Host, *, unsafe: bool = False, seconds: float = 60
    ) -> None:
        self._index = index
        self._sources = frozenset(sources)
        self._host = host
        self._unsafe = unsafe
        self._seconds = seconds
        self._open: dict[str, _Opened] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._open:
            _, opened = self._open.popitem()
            await opened.close()

    def callable(self, name: str) -> bool:
        """Whether the tool of this name can be called here."""
        entry = self._index.entry(name)
        return entry is not None and entry.source in self._sources and (self._unsafe or entry.spec.effect != "unsafe")

    async def call(self, name: str, arguments: Arguments) -> str:
        """Call a tool and return its result as text.

        Raises:
            ToolError: there is no such tool, it may not be called, the arguments do not fit, or it failed.
        """
        entry = self._index.entry(name)
        if entry is None:
            raise UnknownToolError(f"there is no tool {name[:80]!r}; search for one, and use its exact name")
        if entry.source not in self._sources:
            raise ToolRefusedError(f"{name} can be found here, but not called: its source is not open to calls")
        async with self._opened(entry.source) as toolset:
            known = entry.original or name
            tool = next((tool for tool in toolset.tools if tool.name == known), None)
            if tool is None:
                raise UnknownToolError(f"{name} is no longer offered by its source; search for another tool")
            named = replace(tool, spec=tool.spec.model_copy(update={"name": name}))
            _, text = await invoke(named, arguments, self._seconds, self._approve)
            return text

    async def _approve(self, spec: ToolSpec, arguments: Arguments) -> bool:
        return self._unsafe

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
                try:
                    self._toolset = await self._stack.enter_async_context(open_toolset(self.source, self._host))
                except UsageError as error:
                    raise ToolFailedError(f"the tool's source cannot be opened: {error}") from error
            return self._toolset

    async def close(self) -> None:
        await self._stack.aclose()
