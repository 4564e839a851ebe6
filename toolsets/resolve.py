"""Tool sources by name: `toolhop`, `python:my_tools.py`."""

from __future__ import annotations

import importlib
import importlib.util
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
    if kind == "python" and where:
        return ModuleTools(where)
    raise UsageError(f"unknown tool source {source!r}; known are toolhop, python:FILE.py and python:MODULE")


class ModuleTools:
    """The tools of a Python file or module: everything made by `@tool`, or else every public typed function.

    Args:
        where: a path that ends in .py, or a module's dotted name.
    """

    def __init__(self, where: str) -> None:
        module = _load(where)
        self.name = module.__name__
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
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        path = Path(where)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise UsageError(f"there is no Python file {where}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    return module
