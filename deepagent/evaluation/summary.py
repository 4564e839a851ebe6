"""What the results of an evaluation come to: the figures that commands, JSON and report show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pydantic import Field

from deepagent.actions import Frozen
from deepagent.evaluation import statistics
from deepagent.evaluation.base import Metric
from deepagent.evaluation.results import EpisodeResult, Evaluation, cost
from deepagent.evaluation.statistics import Estimate
from deepagent.models.base import Usage

_FEW = 20
"""Values of a tag; one with more of them does not make a table."""


class MetricSummary(Frozen):
    """One metric over all episodes.

    Attributes:
        published: as the benchmark's own code computes it.
        corrected: without its defects.
        pass_at: chance in k tries by k, from the corrected values; only for a metric of 0 and 1 and several seeds.
    """

    metric: Metric
    published: Estimate | None
    corrected: Estimate | None
    pass_at: dict[int, float] = Field(default_factory=dict)


class Part(Frozen):
    """The episodes that share a tag's value.

    Attributes:
        corrected: estimate by metric.
    """

    tag: str
    value: str
    episodes: int
    corrected: dict[str, Estimate | None]


class Summary(Frozen):
    """An evaluation in figures.

    Attributes:
        seeds: most tries that a task had.
        statuses: episodes by how they ended.
        retried: episodes that took more than one attempt.
        cost: USD; None where a price is not known.
        seconds: of all episodes added up.
    """

    evaluation: Evaluation
    episodes: int
    tasks: int
    seeds: int
    metrics: tuple[MetricSummary, ...]
    parts: tuple[Part, ...]
    statuses: dict[str, int]
    retried: int
    steps: int
    calls: int
    folds: int
    usage: Usage
    judge_usage: Usage
    cost: float | None
    seconds: float

    @property
    def headline(self) -> MetricSummary:
        """The benchmark's first metric."""
        return self.metrics[0]


def summarise(evaluation: Evaluation, results: Sequence[EpisodeResult]) -> Summary:
    """Add results up."""
    usage, judge_usage = _total(one.usage for one in results), _total(one.judge_usage for one in results)
    tries = Counter(one.task for one in results)
    return Summary(
        evaluation=evaluation,
        episodes=len(results),
        tasks=len(tries),
        seeds=max(tries.values(), default=0),
        metrics=tuple(_metric(metric, results) for metric in evaluation.metrics),
        parts=tuple(_parts(evaluation.metrics, results)),
        statuses=dict(Counter(one.status for one in results)),
        retried=sum(one.attempts > 1 for one in results),
        steps=sum(one.steps for one in results),
        calls=sum(one.calls for one in results),
        folds=sum(one.folds for one in results),
        usage=usage,
        judge_usage=judge_usage,
        cost=cost({"main": usage, "judge": judge_usage}, evaluation.prices) if evaluation.prices else None,
        seconds=sum(one.seconds for one in results),
    )


def clusters(
    results: Iterable[EpisodeResult], metric: str, *, published: bool = False
) -> dict[str, statistics.Cluster]:
    """A metric's values by task."""
    rows: list[tuple[str, float, float]] = []
    for result in results:
        value = result.score.values.get(metric)
        number = None if value is None else value.published if published else value.corrected
        if value is not None and number is not None:
            rows.append((result.task, number, value.weight))
    return statistics.clustered(rows)


def _metric(metric: Metric, results: Sequence[EpisodeResult]) -> MetricSummary:
    corrected = statistics.mean(clusters(results, metric.name))
    published = statistics.mean(clusters(results, metric.name, published=True)) if metric.published else corrected
    return MetricSummary(
        metric=metric,
        published=published,
        corrected=corrected,
        pass_at=_pass_at(metric, results) if metric.binary else {},
    )


def _pass_at(metric: Metric, results: Sequence[EpisodeResult]) -> dict[int, float]:
    made: Counter[str] = Counter()
    solved: Counter[str] = Counter()
    for result in results:
        value = result.score.values.get(metric.name)
        if value is not None and value.corrected is not None:
            made[result.task] += 1
            solved[result.task] += value.corrected >= 1
    most = min(made.values(), default=0)
    tries = [(made[task], solved[task]) for task in made]
    chances = {k: statistics.pass_at(k, tries) for k in range(1, most + 1)} if most > 1 else {}
    return {k: chance for k, chance in chances.items() if chance is not None}


def _parts(metrics: Sequence[Metric], results: Sequence[EpisodeResult]) -> Iterable[Part]:
    by_value: dict[str, dict[str, list[EpisodeResult]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for tag, value in result.tags.items():
            by_value[tag][value].append(result)
    for tag, values in sorted(by_value.items()):
        if 1 < len(values) <= _FEW:
            for value, own in sorted(values.items()):
                corrected = {metric.name: statistics.mean(clusters(own, metric.name)) for metric in metrics}
                yield Part(tag=tag, value=value, episodes=len(own), corrected=corrected)


def _total(usages: Iterable[Usage]) -> Usage:
    prompt = cached = completion = 0
    estimated = False
    for usage in usages:
        prompt += usage.prompt_tokens
        cached += usage.cached_tokens
        completion += usage.completion_tokens
        estimated = estimated or usage.estimated
    return Usage(prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion, estimated=estimated)
