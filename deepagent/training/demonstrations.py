"""Demonstrations: the agent follows a benchmark's oracle, in the tokens of the model that is to learn from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from deepagent.agent import Agent, Circumstances
from deepagent.config import AgentConfig
from deepagent.dialects import spelled
from deepagent.errors import TrainingError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.grammar import Grammar
from deepagent.models.base import Generated, Listen, Sampling, Usage
from deepagent.models.transformers import TransformersModel
from deepagent.runs.steps import steps
from deepagent.runs.store import RunStore
from deepagent.training.sequences import TrainingSequence, sequences
from deepagent.transcript import Segment, Window


class DictatedModel(TransformersModel):
    """Writes what it is told to, in its own tokens; its network is not used.

    Args:
        replies: what it writes, one text after the other.
        name: see `TransformersModel`, as the others are.
    """

    def __init__(self, replies: Iterable[str], name: str, network: Any, tokenizer: Any, **options: Any) -> None:
        super().__init__(name, network, tokenizer, **options)
        self._replies = iter(replies)

    async def generate(
        self,
        window: Window,
        sampling: Sampling,
        *,
        stop: Sequence[str] = (),
        listen: Listen | None = None,
        grammar: Grammar | None = None,
        calls: bool = True,
    ) -> Generated:
        """Give the next reply.

        Raises:
            TrainingError: the oracle's actions do not bring the run to its end.
        """
        text = next(self._replies, None)
        if text is None:
            raise TrainingError("the oracle has no more actions, but the run goes on")
        ids = self.tokenizer.encode(text)
        segment = Segment(kind="generated", text=text, token_ids=ids, logprobs=(0.0,) * len(ids))
        usage = Usage(prompt_tokens=window.tokens, completion_tokens=len(ids))
        return Generated(segment=segment, finish="stop", usage=usage, seconds=0.0)


async def demonstrate(
    benchmark: AnyBenchmark,
    tasks: Iterable[BenchmarkTask],
    dictated: Callable[[Iterable[str]], DictatedModel],
    config: AgentConfig,
    store: RunStore,
) -> list[TrainingSequence]:
    """What a model would have written, had it known the way.

    Args:
        benchmark: has an oracle.
        tasks: which ones.
        dictated: makes the model that writes these replies.
        config: how the agent works.
        store: where the runs are kept.

    Raises:
        TrainingError: a task has no oracle, or a step of its oracle fails.
    """
    found: list[TrainingSequence] = []
    config = config.model_copy(update={"doubts": False})  # who knows the way is not asked whether it does
    for task in tasks:
        actions = benchmark.demonstration(task)
        if actions is None:
            raise TrainingError(f"{benchmark.name} has no oracle: collect runs of a model instead")
        model = dictated(map(spelled, actions))
        agent = Agent(model, benchmark.sources, config=config, store=store)
        async with benchmark.world(task) or nullcontext() as world:
            circumstances = Circumstances(tools=world, only=benchmark.offered(task))
            run = await agent.run(task.prompt, benchmark=f"{benchmark.name}/{task.id}", circumstances=circumstances)
        if run.status != "answered":
            raise TrainingError(f"the oracle of {task.id} does not reach an answer: {run.reason}")
        events = [one.event for one in store.events(run.id)]
        for step in steps(events):
            if step.observation is not None and not step.observation.ok:
                raise TrainingError(f"step {step.number} of the oracle of {task.id} fails: {step.observation.text}")
        found += sequences(events, model.tokenizer.decode)
    return found
