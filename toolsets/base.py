"""What a toolset is: a named source of tools with a life of its own."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

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


@runtime_checkable
class World(Protocol):
    """A toolset whose tools act on something that changes."""

    def reset(self) -> None:
        """A run begins. What its tools act on is new, and its own: it is kept in a context variable."""
        ...


@runtime_checkable
class Environment(Protocol):
    """A toolset that can be through with the task: the run ends then, whatever the model would do next."""

    @property
    def done(self) -> bool:
        """Whether the task is over. Asked after every action."""
        ...
