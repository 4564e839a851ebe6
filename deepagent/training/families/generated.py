"""What generated families share: questions about things, drawn by a seed, and the calls that each task keeps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from pydantic import Field

from deepagent.actions import Call
from deepagent.evaluation.base import BenchmarkConfig, BenchmarkTask

Q = TypeVar("Q")
CALLS = "calls"
"""In a task's data: the calls on the way to its answer."""


class GeneratedConfig(BenchmarkConfig):
    """Which tasks are made."""

    split: Literal["train", "test"] = "test"
    """No task of the one is in the other: they differ in the pairs of question and thing."""
    tasks: int = Field(200, ge=1)
    seed: int = 0
    hops: tuple[Literal[1, 2, 3], ...] = Field((1, 2, 3), min_length=1)
    """Numbers of calls that questions may need."""


def draw(
    family: str,
    config: GeneratedConfig,
    questions: Sequence[Q],
    things: Sequence[str],
    hops: Callable[[Q], int],
    make: Callable[[str, Q, str, random.Random], BenchmarkTask],
) -> list[BenchmarkTask]:
    """As many tasks as the settings say, in an order that the seed decides.

    Args:
        family: its name, for the ids.
        config: which tasks.
        questions: what may be asked, of each thing.
        things: what may be asked about.
        hops: how many calls a question needs.
        make: makes a task of its id, a question, a thing, and chance for the rest.
    """
    chance = random.Random(f"{config.split}/{config.seed}")  # noqa: S311 (tasks, not secrets)
    pairs = [
        (question, thing)
        for number, question in enumerate(questions)
        for place, thing in enumerate(things)
        if hops(question) in config.hops and ((number + place) % 3 == 0) == (config.split == "test")
    ]
    return [
        make(f"{family}-{config.split}-{config.seed}-{at:04d}", *chance.choice(pairs), chance)
        for at in range(config.tasks)
    ]


def way(task: BenchmarkTask) -> list[Call]:
    """The calls on the way to a task's answer."""
    return [Call.model_validate(call) for call in task.data[CALLS]]


def kept(calls: Sequence[Call]) -> dict[str, object]:
    """What a task keeps of its way in its data; `way` reads it."""
    return {CALLS: [call.model_dump(mode="json") for call in calls]}
