"""API-Bank: dialogues and requirements that need calls of tools over small tables.

Scored by the calls, as in DeepAgent's run: each recorded call must be made, by name and arguments, in any order.
`published` wants the arguments equal to the letter; `corrected` overlooks case, outer spaces and how a number is
written. Answers are not scored: the original compares replies by Rouge-L, which says little of whether they are right.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any, ClassVar

from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.evaluation.benchmarks.called import Called, calls
from deepagent.resources import ToolSource

_DIALOGUE = """You are the assistant (AI) of a user, and have tools. The dialogue so far:

{text}

Do what the user asks for now with calls of tools; take arguments from the dialogue as they stand there. Then answer \
the user in one sentence."""
_REQUIREMENT = """{text}

Find the tools for it and call them; results of earlier calls hold what later ones need. Then answer in one or two \
sentences."""


class _ApiBank(Benchmark[BenchmarkConfig]):
    """What both have in common."""

    levels: ClassVar[tuple[int, ...]]
    prompt: ClassVar[str]
    source: ClassVar[str]
    metrics = (
        Metric(name="success", meaning="every recorded call was made", binary=True, published=True),
        Metric(name="path", meaning="share of the recorded calls that were made, over all tasks", published=True),
    )

    @property
    def sources(self) -> Sequence[ToolSource]:
        """The tools of the levels; every run has tables of its own."""
        return (self.source,)

    def tasks(self) -> Sequence[BenchmarkTask]:
        """The tasks of the levels."""
        return [
            BenchmarkTask(
                id=row["id"],
                prompt=self.prompt.format(text=row["text"]),
                gold=", ".join(one["name"] for one in row["gold"]),
                tags={"level": str(row["level"])},
                data={"gold": row["gold"]},
            )
            for row in _rows()
            if row["level"] in self.levels
        ]

    def offered(self, task: BenchmarkTask) -> Sequence[str] | None:
        """The tools of the recorded calls, when they are given."""
        return list(dict.fromkeys(one["name"] for one in task.data["gold"])) if self.mode == "labelled" else None

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Look for each recorded call among those that were made."""
        gold: list[dict[str, Any]] = episode.task.data["gold"]
        made = calls(episode.steps)
        equal, alike = _found(gold, made, lambda value: value), _found(gold, made, _normal)
        return Score(
            values={
                "success": Value(published=float(equal == len(gold)), corrected=float(alike == len(gold))),
                "path": Value(published=equal / len(gold), corrected=alike / len(gold), weight=len(gold)),
            }
        )

    def oracle(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """The recorded calls."""
        return [*(Call.model_validate(one) for one in task.data["gold"]), Answer(text="It is done.")]


class ApiBankBenchmark(_ApiBank):
    """Levels 1 and 2: dialogues, end to end."""

    name = "api_bank"
    about = "dialogues that need calls over small tables; levels 1 and 2"
    modes = ("labelled", "open-set")
    levels = (1, 2)
    prompt = _DIALOGUE
    source = "api_bank"


class ApiBankThirdBenchmark(_ApiBank):
    """Level 3: requirements whose tools have to be found."""

    name = "api_bank_3"
    about = "requirements whose tools have to be found; API-Bank's level 3"
    modes = ("open-set", "labelled")
    levels = (3,)
    prompt = _REQUIREMENT
    source = "api_bank:3"


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    data = resources.files("deepagent.evaluation.benchmarks").joinpath("api_bank.jsonl.gz").read_bytes()
    return tuple(json.loads(line) for line in gzip.decompress(data).splitlines())


def _found(gold: Sequence[dict[str, Any]], made: Sequence[Called], form: Callable[[Any], Any]) -> int:
    """How many recorded calls were made; each call that was made stands for one."""
    left = [(call.name, form(call.arguments)) for call in made]
    count = 0
    for one in gold:
        wanted = (one["name"], form(one["arguments"]))
        if wanted in left:
            left.remove(wanted)
            count += 1
    return count


def _normal(value: Any) -> Any:
    """A value without what does not matter: case, outer spaces, 5 or '5' or 5.0."""
    if isinstance(value, dict):
        return {key: _normal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_normal(one) for one in value]
    text = str(value).strip().casefold()
    try:
        return float(text)
    except ValueError:
        return text
