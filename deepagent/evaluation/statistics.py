"""Statistics of evaluations: pure functions of numbers, seeded, the same on every machine.

Several seeds of one task are not independent of each other, so what is drawn again and again is always a task with all
its seeds (cluster bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from deepagent.actions import Frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MOST_DRAWS = 20_000_000
_RESAMPLES = 2000
_LEAST_RESAMPLES = 200
_AT_ONCE = 2_000_000
"""Numbers in memory while resamples are drawn."""
_SEED = 20_251


class Estimate(Frozen):
    """A mean with its 95 % confidence interval.

    Attributes:
        tasks: how many tasks it rests on; the interval is the mean itself when there is only one.
    """

    mean: float
    low: float
    high: float
    tasks: int


class Cluster(NamedTuple):
    """What the episodes of one task add up to: the sum of value x weight, and of the weights."""

    total: float
    weight: float


def clustered(values: Sequence[tuple[str, float, float]]) -> dict[str, Cluster]:
    """Add up episodes by task.

    Args:
        values: task, value and weight of each episode.
    """
    sums: dict[str, list[float]] = {}
    for task, value, weight in values:
        both = sums.setdefault(task, [0.0, 0.0])
        both[0] += value * weight
        both[1] += weight
    return {task: Cluster(total, weight) for task, (total, weight) in sums.items()}


def mean(clusters: Mapping[str, Cluster], *, seed: int = _SEED) -> Estimate | None:
    """The weighted mean over all episodes, with a percentile bootstrap interval over tasks; None of nothing."""
    import numpy as np

    totals, weights = _columns(clusters)
    if weights.sum() <= 0:
        return None
    drawn = _bootstrap(np.column_stack([totals, weights]), seed)
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return Estimate(
        mean=float(totals.sum() / weights.sum()), low=float(low), high=float(high), tasks=int((weights > 0).sum())
    )


def pass_at(k: int, tries: Sequence[tuple[int, int]]) -> float | None:
    """Chance that at least one of k tries succeeds: the unbiased estimator of Chen et al. (arXiv 2107.03374, eq. 1).

    Args:
        k: how many tries.
        tries: for each task how often it was tried, and how often that succeeded. Tasks tried less than k times are
            left out.

    Returns:
        The mean over tasks, or None when no task was tried often enough.
    """
    chances = [
        1.0 - math.comb(made - solved, k) / math.comb(made, k) for made, solved in tries if made >= k and solved <= made
    ]
    return sum(chances) / len(chances) if chances else None


class Difference(Frozen):
    """Two evaluations on the tasks that both have: second minus first.

    Attributes:
        tasks: tasks in both.
        first: the first one's mean over these tasks.
        second: the second one's.
        difference: second - first, mean over tasks.
        low: lower end of the 95 % interval of the difference (paired bootstrap over tasks).
        high: upper end.
        better: tasks on which the second is better.
        worse: tasks on which it is worse.
        p: two-sided exact sign test over the tasks on which they differ; with one seed and a metric of 0 and 1 this is
            McNemar's exact test.
    """

    tasks: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    better: int
    worse: int
    p: float


def paired(first: Mapping[str, Cluster], second: Mapping[str, Cluster], *, seed: int = _SEED) -> Difference | None:
    """Compare two evaluations task by task; None when no task is in both.

    Every task counts alike here, whatever its weight.
    """
    import numpy as np

    both = [task for task in first if task in second and first[task].weight > 0 and second[task].weight > 0]
    if not both:
        return None
    one = np.array([first[task].total / first[task].weight for task in both])
    other = np.array([second[task].total / second[task].weight for task in both])
    gain = other - one
    drawn = _bootstrap(gain[:, None], seed)[:, 0] / len(both)
    low, high = np.quantile(drawn, [0.025, 0.975])
    better, worse = int((gain > 1e-12).sum()), int((gain < -1e-12).sum())
    return Difference(
        tasks=len(both),
        first=float(one.mean()),
        second=float(other.mean()),
        difference=float(gain.mean()),
        low=float(low),
        high=float(high),
        better=better,
        worse=worse,
        p=sign_test(better, worse),
    )


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact probability of a split at least as uneven, when both sides are equally likely."""
    count, least = better + worse, min(better, worse)
    if count == 0:
        return 1.0
    if count >= 1000:
        return _normal_tail(count, least)
    tail = sum(math.comb(count, k) for k in range(least + 1))
    return min(1.0, math.ldexp(float(tail), 1 - count))


def _normal_tail(count: int, least: int) -> float:
    """The same by the normal approximation with continuity correction, where the exact sum would overflow."""
    z = (abs(count / 2 - least) - 0.5) / math.sqrt(count / 4)
    return math.erfc(max(0.0, z) / math.sqrt(2))


def _columns(clusters: Mapping[str, Cluster]) -> tuple[Floats, Floats]:
    import numpy as np

    totals = np.array([cluster.total for cluster in clusters.values()], dtype=np.float64)
    weights = np.array([cluster.weight for cluster in clusters.values()], dtype=np.float64)
    return totals, weights


def _bootstrap(rows: Floats, seed: int) -> Floats:
    """Sums over rows drawn with replacement, once for each resample.

    Equal rows are drawn together by their number, which is the same and makes a metric of 0 and 1 cheap.
    """
    import numpy as np

    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    resamples = int(min(_RESAMPLES, max(_LEAST_RESAMPLES, _MOST_DRAWS // len(kinds))))
    generator = np.random.default_rng(seed)
    chances, at_once = counts / len(rows), max(1, _AT_ONCE // len(kinds))
    sizes = [min(at_once, resamples - begun) for begun in range(0, resamples, at_once)]
    return np.concatenate([generator.multinomial(len(rows), chances, size=size) @ kinds for size in sizes])
