"""Figures as people read them, and a paper's kind of table: benchmarks' metrics in rows, ways to work in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepagent.evaluation.statistics import Estimate
from deepagent.evaluation.summary import Summary


def figure(estimate: Estimate | None) -> str:
    """A mean as shown: a share in percent, anything that goes beyond 1 as a number."""
    if estimate is None:
        return "-"
    return f"{estimate.mean:.1%}" if estimate.high <= 1 else f"{estimate.mean:.2f}"


def interval(estimate: Estimate | None) -> str:
    """The 95 % interval of a mean, likewise."""
    if estimate is None:
        return ""
    low, high = estimate.low, estimate.high
    return f"{low:.1%} to {high:.1%}" if high <= 1 else f"{low:.2f} to {high:.2f}"


@dataclass(frozen=True)
class Matrix:
    """The table; a cell is None where there is no such evaluation, or no value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Estimate | None, ...]], ...]


def matrix(summaries: Sequence[Summary], *, published: bool = False) -> Matrix:
    """Put evaluations side by side. Of several in one cell the last one counts."""
    ways = tuple(dict.fromkeys(way(summary) for summary in summaries))
    rows: dict[tuple[str, str], str] = {}
    cells: dict[tuple[str, tuple[str, str]], Estimate | None] = {}
    for summary in summaries:
        setup = summary.evaluation.setup
        benchmark = f"{setup.benchmark} {setup.mode}"
        for metric in summary.metrics:
            row = benchmark, metric.metric.name
            rows[row] = f"{setup.benchmark} {metric.metric.name} ({setup.mode})"
            cells[way(summary), row] = metric.published if published else metric.corrected
    return Matrix(
        columns=ways,
        rows=tuple((name, tuple(cells.get((one, row)) for one in ways)) for row, name in rows.items()),
    )


def way(summary: Summary) -> str:
    """The way to work and the model; and whether earlier runs have helped, which is not the rule."""
    setup = summary.evaluation.setup
    helped = ", with experience" if setup.agent.get("experience") else ""
    return f"{setup.baseline or 'default'}, {setup.model}{helped}"
