"""Rollouts: the agent itself works on tasks, with the policy as its model, and its log becomes training data."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepagent.agent import Agent
from deepagent.config import AgentConfig
from deepagent.errors import OperatorError, TrainingError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.evaluation.episodes import play
from deepagent.evaluation.judges import ModelJudge
from deepagent.models.base import Model, Sampling
from deepagent.runs.events import Ended, Event, Started
from deepagent.training.rewards import call_rewards
from deepagent.training.sequences import Decode, sequences
from deepagent.training.toolpo import Rollout, fold_preferences

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A rollout, and where to look at it.

    Attributes:
        task: id of its task.
        run: id in the run store.
        cost: prompt tokens of all its requests.
    """

    task: str
    run: str
    rollout: Rollout
    cost: float


class Rollouts:
    """Makes rollouts of a benchmark's tasks.

    Args:
        benchmark: entered; its first metric is the task's success.
        config: how the agent works.
        sampling: how the policy's tokens are drawn; log-probabilities are always asked for.
        store: file in which the runs are kept.
        decode: the policy's tokens as text.
    """

    def __init__(
        self, benchmark: AnyBenchmark, config: AgentConfig, sampling: Sampling, store: Path, decode: Decode
    ) -> None:
        drawn = sampling.model_copy(update={"logprobs": True})
        # What is trained must be what the model writes by itself.
        self._config = config.model_copy(update={"sampling": drawn, "grammar": False})
        self._benchmark = benchmark
        self._store = store
        self._decode = decode

    async def groups(self, model: Model, tasks: Sequence[BenchmarkTask], size: int, seed: int) -> list[list[Finished]]:
        """`size` rollouts of each task, all at the same time.

        Args:
            model: the policy, not entered; it reports token ids and log-probabilities.
            tasks: what to do.
            size: K of the paper.
            seed: of the sampling; each rollout has its own.

        Returns:
            A group for each task; without the rollouts that broke for reasons that are not the policy's.

        Raises:
            TrainingError: all of them broke.
        """
        async with Agent(model, self._benchmark.sources, config=self._config, store=self._store) as agent:
            runs = [
                self._run(agent, task, seed + place * size + number)
                for place, task in enumerate(tasks)
                for number in range(size)
            ]
            finished = await asyncio.gather(*runs)
        if not any(finished):
            raise TrainingError("no rollout came to its end: the warnings before this say why")
        groups = [finished[start : start + size] for start in range(0, len(finished), size)]
        return [_compared([one for one in group if one is not None]) for group in groups]

    async def _run(self, agent: Agent, task: BenchmarkTask, seed: int) -> Finished | None:
        """One rollout; None when it broke for reasons that are not the policy's."""
        events: list[Event] = []
        try:
            episode, score = await play(
                self._benchmark, agent, task, ModelJudge(lambda: agent.model("judge")), seed=seed, events=events
            )
        except OperatorError as error:
            _log.warning("a rollout of %s is left out: %s", task.id, error)
            return None
        started, ended = events[0], events[-1]
        if not isinstance(started, Started) or not isinstance(ended, Ended):
            raise TrainingError(f"the log of a rollout of {task.id} is not whole")
        rollout = Rollout(
            sequences=sequences(events, self._decode),
            success=score.values[self._benchmark.metrics[0].name].corrected or 0.0,
            calls=call_rewards(episode.steps, self._benchmark.oracle(task)),
            folds=frozenset(step.number for step in episode.steps if step.action.kind == "fold"),
        )
        return Finished(task.id, started.run, rollout, float(ended.usage.prompt_tokens))


def _compared(group: Sequence[Finished]) -> list[Finished]:
    """The group with what only the comparison tells: whether folding paid."""
    preferences = fold_preferences(
        [one.cost for one in group],
        [bool(one.rollout.folds) for one in group],
        [one.rollout.success > 0 for one in group],
    )
    return [
        replace(one, rollout=replace(one.rollout, fold_preference=preference))
        for one, preference in zip(group, preferences, strict=True)
    ]
