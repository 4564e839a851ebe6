"""Tool sources by name (`m3tooleval`, `python:my_tools.py`, `openapi:shop.yaml`) or settings (`{kind: mcp, ...}`)."""

from __future__ import annotations

import importlib
import importlib.machinery
import inspect
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel

from deepagent import plugins
from deepagent.errors import UsageError
from deepagent.settings import validate
from deepagent.tools import Tool
from deepagent.toolsets.base import Host, ToolList, Toolset
from deepagent.toolsets.functions import tool

Where = str | Mapping[str, Any]
"""What a source says beyond its kind: text after the colon, or settings."""

Opener = Callable[[Where, Host], Toolset]
"""Makes a toolset of one kind, not yet entered; raises `UsageError` for what it cannot use."""

Config = TypeVar("Config", bound=BaseModel)


def open_toolset(source: Where, host: Host) -> Toolset:
    """The toolset that a source names, not yet entered.

    Args:
        source: `kind:where`, a benchmark toolset's name, or settings with a `kind`; the kind may be a plugin's.
        host: what the toolset may use.

    Raises:
        UsageError: the kind is unknown, there is nothing at the place, or the plugin is broken.
    """
    kind, _, where = source.partition(":") if isinstance(source, str) else (str(source.get("kind")), "", "")
    given = where if isinstance(source, str) else source
    opener = KINDS.get(kind)
    if opener is not None and (given or kind in _NO_PLACE):
        return opener(given, host)
    plugin = None if opener is not None else plugins.find("toolsets", kind)
    if plugin is not None:
        made: Toolset = plugin.make(given, host)
        return made
    meant = {".py": "python", ".json": "openapi", ".yaml": "openapi", ".yml": "openapi"}.get(Path(kind).suffix)
    if meant is not None and Path(kind).is_file():
        raise UsageError(f"unknown tool source {_shown(source)}; for the file write {meant}:{kind}")
    raise UsageError(f"unknown tool source {_shown(source)}; known are {plugins.known('toolsets', _SPELLINGS)}")


def settings_of(given: Where, kind: type[Config], read: Callable[[str], dict[str, Any]]) -> Config:
    """Settings of a source: as they were given, or read from the text after the colon.

    Raises:
        ConfigError: they do not fit.
    """
    data = read(given) if isinstance(given, str) else dict(given)
    return validate(data, kind, where="tools")


def _toolhop(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.toolhop.toolset import ToolHop

    return ToolHop(host.sandbox)


def _api_bank(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.api_bank.toolset import ApiBank

    return ApiBank(given if isinstance(given, str) else str(given.get("level", "")))


def _toolbench(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.toolbench.toolset import ToolBench, ToolBenchConfig

    return ToolBench(settings_of(given, ToolBenchConfig, lambda where: {}))


def _m3tooleval(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.m3tooleval.toolset import M3ToolEval

    return M3ToolEval()


def _python(given: Where, host: Host) -> Toolset:
    return ModuleTools(given if isinstance(given, str) else str(given.get("where", "")))


def _openapi(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.openapi.toolset import OpenApi, OpenApiConfig

    def read(where: str) -> dict[str, Any]:
        document, _, server = where.partition("#")
        return {"document": document, "server": server or None}

    return OpenApi(settings_of(given, OpenApiConfig, read))


def _index(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.indexed import IndexConfig, open_indexed

    return open_indexed(settings_of(given, IndexConfig, lambda where: {"folder": where}), host)


def _mcp(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.mcp import McpConfig, McpServer

    def read(where: str) -> dict[str, Any]:
        return {"url": where} if where.startswith(("http://", "https://")) else {"command": shlex.split(where)}

    return McpServer(settings_of(given, McpConfig, read))


def _research(given: Where, host: Host) -> Toolset:
    from deepagent.toolsets.research.config import ResearchConfig
    from deepagent.toolsets.research.toolset import Research

    return Research(settings_of(given, ResearchConfig, lambda where: {"folders": (where,) if where else ()}), host)


def _simulated(given: Where, host: Host) -> Toolset:
    from deepagent.models.resolve import open_model
    from deepagent.toolsets.simulated import Simulated, SimulatedConfig

    config = settings_of(given, SimulatedConfig, lambda where: {"source": where})
    return Simulated(open_toolset(config.source, host), open_model(config.model), config)


KINDS: dict[str, Opener] = {
    "api_bank": _api_bank,
    "m3tooleval": _m3tooleval,
    "toolhop": _toolhop,
    "python": _python,
    "openapi": _openapi,
    "index": _index,
    "mcp": _mcp,
    "research": _research,
    "toolbench": _toolbench,
    "simulated": _simulated,
}
_NO_PLACE = ("api_bank", "m3tooleval", "toolbench", "toolhop", "research")
_SPELLINGS = [
    "api_bank[:3]",
    "m3tooleval",
    "toolhop",
    "toolbench",
    "python:FILE.py",
    "python:MODULE",
    "openapi:FILE[#SERVER]",
    "index:FOLDER",
    "mcp:COMMAND",
    "mcp:URL",
    "research[:FOLDER]",
    "simulated:SOURCE",
]


def _shown(source: Where) -> str:
    return repr(source if isinstance(source, str) else source.get("kind"))


class ModuleTools(ToolList):
    """The tools of a Python file or module: everything made by `@tool`, or else every public typed function.

    Args:
        where: a path that ends in .py, or a module's dotted name.
    """

    def __init__(self, where: str) -> None:
        module = load_module(where)
        made = [value for value in vars(module).values() if isinstance(value, Tool)]
        tools = made or [
            tool(value)
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        ]
        if not tools:
            raise UsageError(f"{where} defines no tools; decorate functions with @tool")
        super().__init__(Path(where).stem if where.endswith(".py") else where, tools)


def load_module(where: str) -> ModuleType:
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
