"""A benchmark of your own: reading Roman numerals, with a tool that knows one numeral and one that adds.

    deepagent eval python:examples/custom_benchmark.py --model oracle
    deepagent eval python:examples/custom_benchmark.py --model embedded --limit 10 --report roman.html

A benchmark says its tasks, its tools, its metrics and how an episode is scored; `oracle` is for testing the benchmark.
"""

from collections.abc import Sequence

from pydantic import Field

from deepagent import tool
from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.resources import ToolSource

NUMERALS = {"M": 1000, "CM": 900, "D": 500, "CD": 400, "C": 100, "XC": 90, "L": 50, "XL": 40, "X": 10, "IX": 9, "V": 5,
            "IV": 4, "I": 1}  # fmt: skip


def roman(number: int) -> str:
    """A number as the Romans wrote it."""
    written = ""
    for numeral, value in NUMERALS.items():
        written += numeral * (number // value)
        number %= value
    return written


@tool(effect="pure")
def value_of(numeral: str) -> int:
    """The value of a Roman numeral, such as XIV."""
    values = [NUMERALS[letter] for letter in numeral]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


@tool(effect="pure")
def add(numbers: list[int]) -> int:
    """The sum of numbers."""
    return sum(numbers)


class RomanConfig(BenchmarkConfig):
    """Settings of this benchmark, for `--benchmark-config FILE`."""

    tasks: int = Field(20, ge=1, le=200)


class Roman(Benchmark[RomanConfig]):
    """Sums of two numerals."""

    name = "roman"
    modes = ("open-set",)
    metrics = (Metric(name="success", meaning="the sum is right", binary=True),)
    Config = RomanConfig

    @property
    def sources(self) -> Sequence[ToolSource]:
        """Tools that all tasks share."""
        return [value_of, add]

    def tasks(self) -> Sequence[BenchmarkTask]:
        """The same ones each time, so that results compare."""
        pairs = [(7 * n + 3, 11 * n + 2) for n in range(1, self.config.tasks + 1)]
        return [
            BenchmarkTask(
                id=f"{n:03}",
                prompt=f"What is {roman(first)} plus {roman(second)}, as a number of today?",
                gold=str(first + second),
                tags={"size": "large" if first + second >= 100 else "small"},
                data={"numerals": [roman(first), roman(second)], "values": [first, second]},
            )
            for n, (first, second) in enumerate(pairs, 1)
        ]

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """A rule decides; `judge` is for benchmarks that need a model to grade."""
        return Score(values={"success": Value.same((episode.answer or "").strip() == episode.task.gold)})

    def oracle(self, task: BenchmarkTask) -> Sequence[Action]:
        """What an agent does that knows the way: with it the benchmark tests itself."""
        look_up = [Call(name="value_of", arguments={"numeral": numeral}) for numeral in task.data["numerals"]]
        return [*look_up, Call(name="add", arguments={"numbers": task.data["values"]}), Answer(text=task.gold)]
