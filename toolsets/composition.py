"""Several sources of tools side by side: names never clash, and what a source changes is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from deepagent.tools import Tool
from deepagent.toolsets.base import Toolset


class Composition:
    """The tools of loose functions and of toolsets, under names that are unique also as Python identifiers.

    A name that two sources use, or that is reserved, is led by its toolset's name. Loose tools keep theirs: whoever
    wrote them chose it.

    Args:
        reserved: names that no toolset's tool may have.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._reserved = frozenset(reserved)
        self._loose: list[Tool] = []
        self._toolsets: list[Toolset] = []
        self._seen: list[Sequence[Tool]] | None = None
        self._tools: tuple[Tool, ...] = ()

    def add(self, source: Tool | Toolset) -> None:
        """Add a tool, or a toolset that is entered."""
        if isinstance(source, Tool):
            self._loose.append(source)
        else:
            self._toolsets.append(source)
        self._seen = None

    def __call__(self) -> Sequence[Tool]:
        """The tools as they are now: the same object as long as no source has changed."""
        now = [toolset.tools for toolset in self._toolsets]
        if self._seen is None or any(new is not old for new, old in zip(now, self._seen, strict=True)):
            known = {tool.name: tool for tool in self._tools}
            self._tools = tuple(self._kept(known, tool) for tool in [*self._loose, *self._named(now)])
            self._seen = now
        return self._tools

    @staticmethod
    def _kept(known: dict[str, Tool], tool: Tool) -> Tool:
        """The object that stood for the tool before, where it has not changed: who holds it need not be told."""
        before = known.get(tool.name)
        return before if before is not None and before.spec == tool.spec else tool

    def _named(self, sources: Sequence[Sequence[Tool]]) -> Iterable[Tool]:
        uses = Counter(tool.spec.identifier for tools in sources for tool in tools)
        taken = {tool.spec.identifier for tool in self._loose} | self._reserved
        spaces = self._namespaces()
        for space, tools in zip(spaces, sources, strict=True):
            for tool in tools:
                identifier = tool.spec.identifier
                clashes = uses[identifier] > 1 or identifier in taken
                made = _renamed(tool, f"{space}_{tool.name}", taken) if clashes else tool
                taken.add(made.spec.identifier)
                yield made

    def _namespaces(self) -> list[str]:
        """The toolsets' names, numbered where two have the same."""
        made: list[str] = []
        for toolset in self._toolsets:
            name, number = toolset.name or "tools", 2
            while name in made:
                name, number = f"{toolset.name or 'tools'}_{number}", number + 1
            made.append(name)
        return made


class Part:
    """Some tools of a toolset that somebody else holds open.

    Args:
        toolset: where they come from.
        names: which ones.
    """

    def __init__(self, toolset: Toolset, names: Collection[str]) -> None:
        self._toolset = toolset
        self._names = frozenset(names)
        self._seen: Sequence[Tool] | None = None
        self._tools: tuple[Tool, ...] = ()

    @property
    def name(self) -> str:
        """The whole's."""
        return self._toolset.name

    @property
    def tools(self) -> Sequence[Tool]:
        """As they are now: the same object as long as the whole has not changed."""
        now = self._toolset.tools
        if now is not self._seen:
            self._seen, self._tools = now, tuple(tool for tool in now if tool.name in self._names)
        return self._tools

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def _renamed(tool: Tool, name: str, taken: set[str]) -> Tool:
    """The tool under this name, numbered where its identifier is taken."""
    spec, number = tool.spec.model_copy(update={"name": name}), 2
    while spec.identifier in taken:
        spec, number = tool.spec.model_copy(update={"name": f"{name}_{number}"}), number + 1
    return replace(tool, spec=spec)
