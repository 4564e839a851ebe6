"""One module per benchmark: its tasks and its scorer."""

from __future__ import annotations

from deepagent.errors import UsageError
from deepagent.evaluation.base import Benchmark


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        UsageError: there is none.
    """
    from deepagent.evaluation.benchmarks.m3tooleval import M3ToolEvalBenchmark
    from deepagent.evaluation.benchmarks.toolhop import ToolHopBenchmark

    known: dict[str, type[Benchmark]] = {"m3tooleval": M3ToolEvalBenchmark, "toolhop": ToolHopBenchmark}
    if name not in known:
        raise UsageError(f"unknown benchmark {name!r}; known are {', '.join(sorted(known))}")
    return known[name]()
