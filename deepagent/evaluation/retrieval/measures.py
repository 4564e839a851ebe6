"""What a ranking is worth: recall, nDCG, reciprocal rank, and whether all that is needed was found."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from deepagent.actions import Frozen

DEPTH = 20
"""Places of a ranking that are looked at."""


class Measures(Frozen):
    """Means over queries, each between 0 and 1.

    Attributes:
        queries: how many.
        recall: gold tools among the first 1, 5, 10 and 20, divided by the number of gold tools.
        ndcg_10: sum of 1 / log2(place + 1) over gold tools in the first ten, divided by the best possible sum
            (Järvelin and Kekäläinen 2002, with a gain of 1 per gold tool).
        mrr: 1 / place of the first gold tool, 0 where it is not among the first 20.
        complete_10: share of queries with all their gold tools among the first ten.
    """

    queries: int
    recall: dict[int, float]
    ndcg_10: float
    mrr: float
    complete_10: float


def measure(ranked: Sequence[str], gold: Collection[str]) -> Measures:
    """Measure one ranking.

    Args:
        ranked: tool ids, the best first.
        gold: ids of the tools that are needed, at least one.
    """
    hits = [tool in gold for tool in ranked[:DEPTH]]
    best = sum(_gain(place) for place in range(min(10, len(gold))))
    return Measures(
        queries=1,
        recall={k: sum(hits[:k]) / len(gold) for k in (1, 5, 10, 20)},
        ndcg_10=sum(_gain(place) for place, hit in enumerate(hits[:10]) if hit) / best,
        mrr=1 / (hits.index(True) + 1) if any(hits) else 0.0,
        complete_10=float(sum(hits[:10]) == len(gold)),
    )


def mean(measured: Iterable[Measures]) -> Measures:
    """The mean over queries; at least one is needed."""
    each = list(measured)
    count = sum(one.queries for one in each)

    def average(values: Iterable[float]) -> float:
        return math.fsum(value * one.queries for value, one in zip(values, each, strict=True)) / count

    return Measures(
        queries=count,
        recall={k: average(one.recall[k] for one in each) for k in each[0].recall},
        ndcg_10=average(one.ndcg_10 for one in each),
        mrr=average(one.mrr for one in each),
        complete_10=average(one.complete_10 for one in each),
    )


def _gain(place: int) -> float:
    return 1 / math.log2(place + 2)
