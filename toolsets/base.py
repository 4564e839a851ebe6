"""What a toolset is: a named source of tools with a life of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from deepagent.errors import UsageError
from deepagent.models.base import Model
from deepagent.models.roles import Role
from deepagent.sandbox import SandboxConfig
from deepagent.tools import Tool


async def _no_model(role: Role) -> Model:
    raise UsageError(f"nobody lends a model for the role {role!r}: open the toolset by an agent")


@dataclass(frozen=True)
class Host:
    """What a toolset may use of who opens it.

    Args:
        sandbox: limits of foreign code and of programs that read foreign files.
        model: the open model of a role, asked for when it is needed; raises `UsageError` where none is named.
    """

    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    model: Callable[[Role], Awaitable[Model]] = _no_model


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


class ToolList:
    """A toolset whose tools are known from the beginning and need nothing opened.

    Args:
        name: of the toolset.
        tools: its tools.
    """

    def __init__(self, name: str, tools: Iterable[Tool]) -> None:
        self.name = name
        self.tools: tuple[Tool, ...] = tuple(tools)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


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
