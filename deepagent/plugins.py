"""What other packages bring: toolsets, benchmarks, models and encoders, by Python's entry points.

A package names what it brings in its own metadata; installing it is all that a user does. Metadata is read when a
name is not one of ours, or when plugins are listed. A plugin's code is imported when its name is used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib import metadata
from typing import Any, Literal

from deepagent.actions import Frozen
from deepagent.errors import DeepAgentError, UsageError

Kind = Literal["toolsets", "benchmarks", "models", "encoders"]
"""What a plugin makes; `deepagent.` and the kind is the entry points' group."""

_METHOD: dict[Kind, str] = {
    "toolsets": "__aenter__",
    "benchmarks": "score",
    "models": "__aenter__",
    "encoders": "encode",
}
"""What is made must have this method: a factory that forgets to return is told at once."""

KINDS: tuple[Kind, ...] = tuple(_METHOD)


class Plugin(Frozen):
    """One entry point of an installed package.

    Attributes:
        name: under which users ask for it.
        package: the distribution that brings it, with its version.
        target: what is imported, `module:attribute`.
    """

    kind: Kind
    name: str
    package: str
    target: str

    def load(self) -> Any:
        """Import what makes it.

        Raises:
            UsageError: the package is broken; in one line, whatever its code raised.
        """
        try:
            made = metadata.EntryPoint(self.name, self.target, _group(self.kind)).load()
        except (Exception, SystemExit) as error:
            raise self._broken("cannot be loaded", error) from error
        if not callable(made):
            raise UsageError(f"{self} cannot be used: {self.target} is not callable; repair or uninstall the package")
        return made

    def make(self, *arguments: Any) -> Any:
        """Import it, and call it with what its kind is told.

        Raises:
            DeepAgentError: it says on purpose that it cannot be used so.
            UsageError: it raised anything else, or made what it should not.
        """
        make = self.load()
        try:
            made = make(*arguments)
        except DeepAgentError:
            raise
        except (Exception, SystemExit) as error:
            raise self._broken("failed", error) from error
        if not hasattr(type(made), _METHOD[self.kind]):
            raise UsageError(f"{self} made {type(made).__name__}, which is none of the {self.kind}; repair the package")
        return made

    def _broken(self, how: str, error: BaseException) -> UsageError:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return UsageError(f"{self} {how}: {said}; repair or uninstall the package")

    def __str__(self) -> str:
        return f"the plugin {self.name!r} ({self.kind}) of {self.package}"


def installed(kinds: Iterable[Kind] = KINDS) -> list[Plugin]:
    """All plugins, sorted; nothing of them is imported."""
    found = {
        Plugin(kind=kind, name=entry.name, package=_package(entry), target=entry.value)
        for kind in kinds
        for entry in metadata.entry_points(group=_group(kind))
    }
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.name, one.package))


def find(kind: Kind, name: str) -> Plugin | None:
    """The plugin of this name, if there is one.

    Raises:
        UsageError: several packages bring one of this name.
    """
    found = [one for one in installed([kind]) if one.name == name]
    if len(found) > 1:
        packages = " and ".join(one.package for one in found)
        raise UsageError(f"{name!r} is brought by {packages}; uninstall all but one of them")
    return found[0] if found else None


def known(kind: Kind, built_in: Collection[str]) -> str:
    """All names of a kind in words: ours in their order, then those of plugins."""
    theirs = dict.fromkeys(one.name for one in installed([kind]))
    return ", ".join([*built_in, *(name for name in theirs if name not in built_in)])


def _group(kind: Kind) -> str:
    return f"deepagent.{kind}"


def _package(entry: metadata.EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
