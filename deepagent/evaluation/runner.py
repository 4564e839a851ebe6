"""Running an evaluation: what is left to do, by any executor, kept as it comes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from deepagent.config import Price
from deepagent.errors import EvaluationStoppedError
from deepagent.evaluation.base import BenchmarkTask, Metric
from deepagent.evaluation.executors import Assignment, Executor
from deepagent.evaluation.results import EpisodeResult, Evaluation, Setup
from deepagent.evaluation.store import ResultStore
from deepagent.models.roles import Role

_HOPELESS = 20
"""Episodes in a row that fail alike: the next ones will too."""


def begin(
    store: ResultStore,
    setup: Setup,
    metrics: Sequence[Metric],
    *,
    resume: bool,
    prices: Mapping[Role, Price] | None = None,
) -> Evaluation:
    """A new evaluation of a setup, or the newest one that there is of it.

    Args:
        store: keeps it.
        setup: what is evaluated.
        metrics: the benchmark's.
        resume: take up the newest one of this setup; where there is none, a new one begins.
        prices: of tokens.
    """
    newest = store.newest(setup.hash)
    if newest is not None and resume:
        evaluation = newest.model_copy(update={"prices": dict(prices or newest.prices)})
    else:
        id = f"{setup.benchmark}-{setup.hash}"
        if newest is not None:
            base, _, number = newest.id.partition(".")
            id = f"{base}.{int(number or 1) + 1}"
        evaluation = Evaluation(id=id, at=time.time(), setup=setup, metrics=tuple(metrics), prices=dict(prices or {}))
    store.begin(evaluation)
    return evaluation


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is.

    Attributes:
        done: episodes with a result, those of an earlier start included.
        total: all of them.
        result: the newest one; None at the start.
    """

    done: int
    total: int
    result: EpisodeResult | None = None


async def run(
    evaluation: Evaluation,
    tasks: Sequence[BenchmarkTask],
    *,
    seeds: int,
    executor: Executor,
    store: ResultStore,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Run the episodes that have no result yet.

    All tasks are worked on once before the first one is worked on with another seed.

    Args:
        evaluation: which one; begun.
        tasks: those to run.
        seeds: how often each.
        executor: runs them.
        store: keeps each result as it comes.
        tell: told of each result once it is kept.

    Raises:
        EvaluationStoppedError: episode after episode fails for the same reason.
        StoreError: results or runs cannot be kept.
    """
    settled = store.settled(evaluation.id)
    wanted: list[Assignment] = [(task, seed) for seed in range(seeds) for task in tasks]
    left = [(task, seed) for task, seed in wanted if (task.id, seed) not in settled]
    done = len(wanted) - len(left)
    tell(Progress(done, len(wanted)))
    last: deque[str | None] = deque(maxlen=_HOPELESS)
    async with aclosing(executor.run(left)) as results:
        async for result in results:
            store.add(evaluation.id, result)
            done += 1
            tell(Progress(done, len(wanted), result))
            last.append(result.reason if result.status == "failed" else None)
            if len(last) == _HOPELESS and None not in last and len(set(last)) == 1:
                raise EvaluationStoppedError(
                    f"the last {_HOPELESS} episodes failed alike ({result.reason}): mend it, and go on with --resume"
                )
