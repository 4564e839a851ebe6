"""Tool sources by name: `toolhop`, `m3tooleval`, `python:my_tools.py`."""

from __future__ import annotations

import importlib
import importlib.machinery
import inspect
import sys
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from deepagent.errors import UsageError
from deepagent.sandbox import SandboxConfig
from deepagent.tools import Tool
from deepagent.toolsets.base import Toolset
from deepagent.toolsets.functions import tool


def open_toolset(source: str, sandbox: SandboxConfig) -> Toolset:
    """The toolset that a source names, not yet entered.

    Args:
        source: `kind:where`, or a benchmark toolset's name.
        sandbox: for toolsets that run foreign code.

    Raises:
        UsageError: the kind is unknown, or there is nothing at the place.
    """
    kind, _, where = source.partition(":")
    if kind == "toolhop":
        from deepagent.toolsets.toolhop.toolset import ToolHop

        return ToolHop(sandbox)
    if kind == "m3tooleval":
        from deepagent.toolsets.m3tooleval.toolset import M3ToolEval

        return M3ToolEval()
    if kind == "python" and where:
        return ModuleTools(where)
    raise UsageError(f"unknown tool source {source!r}; known are m3tooleval, toolhop, python:FILE.py and python:MODULE")


class ModuleTools:
    """The tools of a Python file or module: everything made by `@tool`, or else every public typed function.

    Args:
        where: a path that ends in .py, or a module's dotted name.
    """

    def __init__(self, where: str) -> None:
        module = _load(where)
        self.name = Path(where).stem if where.endswith(".py") else where
        made = [value for value in vars(module).values() if isinstance(value, Tool)]
        self.tools = made or [
            tool(value)
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        ]
        if not self.tools:
            raise UsageError(f"{where} defines no tools; decorate functions with @tool")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def _load(where: str) -> ModuleType:
    """Import a file or module; whatever that raises is told as the user's own error."""
    path = Path(where)
    if where.endswith(".py") and not path.is_file():
        raise UsageError(f"there is no Python file {where}; give a path that exists, or a module's dotted name")
    try:
        return _load_file(path) if where.endswith(".py") else importlib.import_module(where)
    except (Exception, SystemExit) as error:
        hint = f"; for the file write python:{where}.py" if Path(f"{where}.py").is_file() else ""
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{where} cannot be imported: {said}{hint}") from error


def _load_file(path: Path) -> ModuleType:
    # A name that no import statement can spell: a user's json.py must not pass for the standard library's.
    name = f"python:{path.resolve()}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and annotations look themselves up there
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
