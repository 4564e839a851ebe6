"""Benchmarks by name. A benchmark's module is imported when it is asked for, and not before."""

from __future__ import annotations

import importlib
from pathlib import Path

from deepagent import settings
from deepagent.errors import UsageError
from deepagent.evaluation.base import AnyBenchmark, Mode

CONFIGS = Path(__file__).parent.parent / "configs" / "benchmarks"

_CLASSES = {
    "m3tooleval": "deepagent.evaluation.benchmarks.m3tooleval:M3ToolEval",
    "toolhop": "deepagent.evaluation.benchmarks.toolhop:ToolHop",
}
"""Where the class of each benchmark stands."""


def names() -> list[str]:
    """All benchmarks that are known."""
    return sorted(_CLASSES)


def get_class(name: str) -> type[AnyBenchmark]:
    """The class of a benchmark.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in _CLASSES:
        raise UsageError(f"unknown benchmark {name!r}; known are {', '.join(names())}")
    module, _, attribute = _CLASSES[name].partition(":")
    found: type[AnyBenchmark] = getattr(importlib.import_module(module), attribute)
    return found


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
    made = kind(read, mode)
    if made.mode not in kind.modes:
        raise UsageError(f"{name} is not run {made.mode}: it is run {' or '.join(kind.modes)}")
    return made
