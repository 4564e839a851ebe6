"""Calling the tools of an index for others."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from deepagent.errors import UnknownToolError
from deepagent.invocation import invoke
from deepagent.tools import Arguments, ToolSpec
from deepagent.toolsets.indexed import IndexedTools


class Caller:
    """Calls tools of an index by name. An async context manager.

    Args:
        tools: the tools.
        unsafe: whether tools may be called whose effect is unsafe.
        seconds: time limit of a call.
    """

    def __init__(self, tools: IndexedTools, *, unsafe: bool = False, seconds: float = 60) -> None:
        self._tools = tools
        self._unsafe = unsafe
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        await self._tools.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tools.__aexit__(kind, error, traceback)

    def callable(self, name: str) -> bool:
        """Whether the tool of this name can be called here."""
        tool = self._tools.get(name)
        return tool is not None and self._tools.can_call(name) and (self._unsafe or tool.spec.effect != "unsafe")

    async def call(self, name: str, arguments: Arguments) -> str:
        """Call a tool and return its result as text.

        Raises:
            ToolError: there is no such tool, it may not be called, the arguments do not fit, or it failed.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise UnknownToolError(f"there is no tool {name[:80]!r}; search for one, and use its exact name")
        _, text = await invoke(tool, arguments, self._seconds, self._approve)
        return text

    async def _approve(self, spec: ToolSpec, arguments: Arguments) -> bool:
        return self._unsafe
