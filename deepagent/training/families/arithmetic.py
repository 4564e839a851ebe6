"""Word problems whose numbers are too large for a small model's head: one to three steps with a calculator.

The numbers are drawn anew for every task, so nothing can be learnt by heart but how to turn words into steps.
"""

from __future__ import annotations

import operator
import random
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.tools import Tool
from deepagent.toolsets.functions import tool
from deepagent.training.families.generated import GeneratedConfig, draw, kept, way

_THINGS = """
    apples bolts bricks books candles cards chairs coins cups dolls eggs envelopes flags forks gloves hats jars keys
    lamps lemons nails olives pears pencils plates ropes seeds shells spoons stamps stones tiles
"""
THINGS = tuple(_THINGS.split())
RANGES = {"a": (500, 999), "b": (11, 99), "c": (100, 499), "d": (11, 99)}
"""Of the numbers in a question; no step leads below zero."""
IT = "it"
"""In a step: what the step before came to."""


class Question(NamedTuple):
    """A question and the way to its answer: for each step the tool, and what it is given."""

    words: str
    steps: tuple[tuple[str, str, str], ...]


# Every 13 words in a row name the thing, so that no two questions about different things pass for the same one.
QUESTIONS = (
    Question("There are {a} {thing}, and {b} {thing} come. How many {thing} are there?", (("add", "a", "b"),)),
    Question("Of {a} {thing}, {b} {thing} are sold. How many {thing} are left?", (("subtract", "a", "b"),)),
    Question("Each of {a} boxes holds {b} {thing}. How many {thing} are there?", (("multiply", "a", "b"),)),
    Question(
        "Each of {a} boxes holds {b} {thing}. Then {c} {thing} are sold. How many {thing} are left?",
        (("multiply", "a", "b"), ("subtract", IT, "c")),
    ),
    Question(
        "There are {a} {thing}, and {c} {thing} come. Each costs {b} dollars. What do all {thing} cost?",
        (("add", "a", "c"), ("multiply", IT, "b")),
    ),
    Question(
        "Each of {a} boxes holds {b} {thing}. Then {c} {thing} come, and {d} {thing} are sold. "
        "How many {thing} are left?",
        (("multiply", "a", "b"), ("add", IT, "c"), ("subtract", IT, "d")),
    ),
    Question(
        "Of {a} {thing}, {c} {thing} are sold, and {b} {thing} come. Each costs {d} dollars. "
        "What do these {thing} cost?",
        (("subtract", "a", "c"), ("add", IT, "b"), ("multiply", IT, "d")),
    ),
)


@tool(effect="pure")
def add(a: int, b: int) -> int:
    """A number plus another."""
    return a + b


@tool(effect="pure")
def subtract(a: int, b: int) -> int:
    """A number minus another."""
    return a - b


@tool(effect="pure")
def multiply(a: int, b: int) -> int:
    """A number times another."""
    return a * b


_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)\.?", re.ASCII)

TOOLS: tuple[Tool, ...] = (add, subtract, multiply)
_OPERATORS = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul}


class Arithmetic(Benchmark[GeneratedConfig]):
    """The family."""

    name = "arithmetic"
    about = "word problems for a calculator; made for training"
    modes = ("labelled",)
    metrics = (Metric(name="success", meaning="the answer is right", binary=True),)
    Config = GeneratedConfig

    @property
    def sources(self) -> Sequence[Tool]:
        """The calculator."""
        return TOOLS

    def offered(self, task: BenchmarkTask) -> Collection[str]:
        """All of the calculator."""
        return _OPERATORS.keys()

    def tasks(self) -> Sequence[BenchmarkTask]:
        """As many as the settings say, in an order that the seed decides."""
        return draw(self.name, self.config, QUESTIONS, THINGS, lambda question: len(question.steps), _task)

    def oracle(self, task: BenchmarkTask) -> Sequence[Action]:
        """The steps, and the answer."""
        return [*way(task), Answer(text=task.gold)]

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Right when it is the number, and nothing else."""
        given = _NUMBER.fullmatch((episode.answer or "").strip())
        right = given is not None and given[1].replace(",", "") == episode.task.gold
        return Score(values={"success": Value.same(right)})


def _task(id: str, question: Question, thing: str, chance: random.Random) -> BenchmarkTask:
    numbers = {name: chance.randint(*bounds) for name, bounds in RANGES.items()}
    calls: list[Call] = []
    values = dict(numbers)
    for name, *given in question.steps:
        left, right = (values[one] for one in given)
        calls.append(Call(name=name, arguments={"a": left, "b": right}))
        values[IT] = _OPERATORS[name](left, right)
    return BenchmarkTask(
        id=id,
        prompt=question.words.format(thing=thing, **numbers),
        gold=str(values[IT]),
        tags={"hops": str(len(calls))},
        data=kept(calls),
    )
