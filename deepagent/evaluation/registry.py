"""Benchmarks by name. A benchmark's module is imported when it is asked for, and not before."""

from __future__ import annotations

import importlib
from pathlib import Path

from deepagent import plugins, settings
from deepagent.errors import UsageError
from deepagent.evaluation.base import AnyBenchmark, Benchmark, Mode
from deepagent.toolsets.resolve import load_module

CONFIGS = Path(__file__).parent.parent / "configs" / "benchmarks"

BUILT_IN = {
    "alfworld": "deepagent.evaluation.benchmarks.alfworld:AlfWorldBenchmark",
    "api_bank": "deepagent.evaluation.benchmarks.api_bank:ApiBankBenchmark",
    "api_bank_3": "deepagent.evaluation.benchmarks.api_bank:ApiBankThirdBenchmark",
    "arithmetic": "deepagent.training.families.arithmetic:Arithmetic",
    "gaia": "deepagent.evaluation.benchmarks.gaia:Gaia",
    "hle": "deepagent.evaluation.benchmarks.hle:Hle",
    "lookup": "deepagent.training.families.lookup:Lookup",
    "m3tooleval": "deepagent.evaluation.benchmarks.m3tooleval:M3ToolEval",
    "spotify": "deepagent.evaluation.benchmarks.restbench:SpotifyBenchmark",
    "tmdb": "deepagent.evaluation.benchmarks.restbench:TmdbBenchmark",
    "toolbench": "deepagent.evaluation.benchmarks.toolbench:ToolBenchBenchmark",
    "toolhop": "deepagent.evaluation.benchmarks.toolhop:ToolHop",
    "trail": "deepagent.evaluation.benchmarks.trail:Trail",
    "webshop": "deepagent.evaluation.benchmarks.webshop:WebShopBenchmark",
}
"""Where the class of each benchmark stands."""

_FILE = "python:"
"""Begins the name of a benchmark that a file or module defines, as it does for tools."""


def names() -> list[str]:
    """All benchmarks that are known, those of plugins included."""
    return sorted({*BUILT_IN, *(one.name for one in plugins.installed(["benchmarks"]))})


def get_class(name: str) -> type[AnyBenchmark]:
    """The class of a benchmark, by its name or as `python:FILE.py`.

    Raises:
        UsageError: there is none of this name, it is a broken plugin's, or the file does not define exactly one.
    """
    if name.startswith(_FILE):
        return _defined(name.removeprefix(_FILE))
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        ours: type[AnyBenchmark] = getattr(importlib.import_module(module), attribute)
        return ours
    plugin = plugins.find("benchmarks", name)
    if plugin is None:
        raise UsageError(f"unknown benchmark {name!r}; known are {', '.join(names())}")
    theirs = plugin.load()
    if not isinstance(theirs, type) or not issubclass(theirs, Benchmark):
        raise UsageError(f"{plugin} cannot be used: {plugin.target} is no Benchmark class; repair the package")
    return theirs


def _defined(where: str) -> type[AnyBenchmark]:
    """The benchmark of a Python file or module."""
    module = load_module(where)
    found = [
        value for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Benchmark) and value.__module__ == module.__name__
    ]  # fmt: skip
    if len(found) != 1:
        raise UsageError(f"{where} defines {len(found)} benchmarks; it must define one, a subclass of Benchmark")
    return found[0]


def get_benchmark(name: str, *, mode: Mode | None = None, config: Path | None = None) -> AnyBenchmark:
    """A benchmark, not yet entered.

    Args:
        name: as in `names`.
        mode: overrides its settings.
        config: its settings; by default `configs/benchmarks/NAME.yaml`, or those of its class when there is no such.

    Raises:
        UsageError: there is none of this name, or it has no such mode.
        ConfigError: its settings cannot be read.
    """
    kind = get_class(name)
    path = config or CONFIGS / f"{name}.yaml"
    read = settings.read(path, kind.Config) if config or path.is_file() else kind.Config()
    plugin = None if name in BUILT_IN else plugins.find("benchmarks", name)
    made: AnyBenchmark = plugin.make(read, mode) if plugin is not None else kind(read, mode)
    if made.mode not in kind.modes:
        raise UsageError(f"{name} is not run {made.mode}: it is run {' or '.join(kind.modes)}")
    return made
