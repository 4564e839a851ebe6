"""What a toolset is: a named source of tools with a life of its own."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from deepagent.tools import Tool


class Toolset(Protocol):
    """An async context manager; its tools can be called while it is entered."""

    @property
    def name(self) -> str:
        """Part of the text that search sees of each tool."""
        ...

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools, known at the latest when the toolset is entered. Another object when they have changed."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
