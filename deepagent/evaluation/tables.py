"""A paper's kind of table: models and ways to work in rows, benchmarks' metrics in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepagent.evaluation.statistics import Estimate
from deepagent.evaluation.summary import Summary


@dataclass(frozen=True)
class Matrix:
    """The table; a cell is None where there is no such evaluation, or no value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Estimate | None, ...]], ...]


def matrix(summaries: Sequence[Summary], *, published: bool = False) -> Matrix:
    """Put evaluations side by side. Of several in one cell the last one counts."""
    rows = dict.fromkeys(row_name(summary) for summary in summaries)
    columns: dict[tuple[str, str], str] = {}
    cells: dict[tuple[str, tuple[str, str]], Estimate | None] = {}
    for summary in summaries:
        setup = summary.evaluation.setup
        benchmark = f"{setup.benchmark} {setup.mode}"
        for metric in summary.metrics:
            column = benchmark, metric.metric.name
            columns[column] = f"{setup.benchmark} {metric.metric.name} ({setup.mode})"
            cells[row_name(summary), column] = metric.published if published else metric.corrected
    return Matrix(
        columns=tuple(columns.values()),
        rows=tuple((row, tuple(cells.get((row, column)) for column in columns)) for row in rows),
    )


def row_name(summary: Summary) -> str:
    """The way to work and the model; and whether earlier runs have helped, which is not the rule."""
    setup = summary.evaluation.setup
    helped = ", with experience" if setup.agent.get("experience") else ""
    return f"{setup.baseline or 'default'}, {setup.model}{helped}"
