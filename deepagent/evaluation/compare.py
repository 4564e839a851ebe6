"""Two evaluations side by side, on the tasks that both have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepagent.actions import Frozen
from deepagent.errors import UsageError
from deepagent.evaluation.results import EpisodeResult, Evaluation
from deepagent.evaluation.statistics import Difference, paired
from deepagent.evaluation.summary import clusters


class Comparison(Frozen):
    """Second minus first, by metric (`corrected`).

    Attributes:
        warnings: what makes the two hard to compare.
    """

    first: str
    second: str
    metrics: dict[str, Difference]
    warnings: tuple[str, ...]


def compare(
    first: Evaluation, firsts: Sequence[EpisodeResult], second: Evaluation, seconds: Sequence[EpisodeResult]
) -> Comparison:
    """Compare task by task.

    Raises:
        UsageError: they are of different benchmarks, or have no task in common.
    """
    if first.setup.benchmark != second.setup.benchmark:
        raise UsageError(f"{first.id} and {second.id} are of different benchmarks: they have no task in common")
    metrics: dict[str, Difference] = {}
    for metric in first.metrics:
        found = paired(clusters(firsts, metric.name), clusters(seconds, metric.name))
        if found is not None:
            metrics[metric.name] = found
    if not metrics:
        raise UsageError(f"{first.id} and {second.id} have no task in common: run both on the same tasks")
    return Comparison(first=first.id, second=second.id, metrics=metrics, warnings=tuple(_warnings(first, second)))


def _warnings(first: Evaluation, second: Evaluation) -> Iterator[str]:
    one, other = first.setup, second.setup
    if one.data_hash != other.data_hash:
        yield "the tasks are not the same (data hashes differ)"
    if one.mode != other.mode:
        yield f"the modes differ: {one.mode} and {other.mode}"
    if one.settings != other.settings:
        yield "the benchmark's settings differ"
    if one.roles.get("judge") != other.roles.get("judge"):
        yield "the judges differ"
    if one.version != other.version:
        yield f"the versions differ: {one.version} and {other.version}"
