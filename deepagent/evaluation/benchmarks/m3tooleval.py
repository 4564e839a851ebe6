"""M3ToolEval: tasks that need several calls of simple tools; made to compare text, JSON and code as actions.

`published` is the original's judge, defects included: text equality, or both sides read as a number and equal. So it
takes lists, pairs and mappings only in Python's exact spelling, and rejects an answer that is rounded as the task
asks. `corrected` compares by type and with a tolerance, and takes every answer that the task's words allow; which ones
those are, and why, stands with each task.
"""

from __future__ import annotations

import ast
import gzip
import json
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from deepagent.actions import Action, Execute
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.evaluation.benchmarks.m3tooleval_oracle import GOLD
from deepagent.toolsets.m3tooleval.toolset import M3ToolEval as Tools

_LONGEST = 1000
_NUMBER = re.compile(r"[-+]?\$?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_PAIR = re.compile(r"([A-Za-z])\W{1,4}(\d+)")


class M3ToolEvalConfig(BenchmarkConfig):
    """Settings of M3ToolEval."""

    feedback: bool = False
    """As the original: an answer that its judge finds wrong is told to be wrong, and the run goes on."""


class M3ToolEval(Benchmark[M3ToolEvalConfig]):
    """The benchmark."""

    name = "m3tooleval"
    about = "tasks that need several calls; compares code, JSON and text as actions"
    modes = ("open-set", "labelled")
    metrics = (
        Metric(name="success", meaning="one of the answers is right", binary=True, published=True),
        Metric(name="first_answer", meaning="the first answer is right", binary=True, published=True),
    )
    Config = M3ToolEvalConfig
    sources = ("m3tooleval",)

    def tasks(self) -> Sequence[BenchmarkTask]:
        """The 82 tasks, in the original's order."""
        return _tasks()

    def offered(self, task: BenchmarkTask) -> Sequence[str] | None:
        """The family's six tools, when they are given."""
        if self.mode != "labelled":
            return None
        family = task.tags["family"]
        shared = ["calculator"] if family == "web_browsing" else []
        return [*(tool.name for tool in toolset().tools if tool.spec.toolset == family), *shared]

    def oracle(self, task: BenchmarkTask) -> Sequence[Action]:
        """A program that calls the tools for every fact and every sum."""
        return (Execute(code=GOLD[task.id]),)

    def refusal(self, task: BenchmarkTask, answer: str) -> str | None:
        """With feedback, a wrong answer is told."""
        if not self.config.feedback or _published(answer, task.data["gold"]):
            return None
        return "Your answer is wrong. Try again."

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Compare the answers, in both ways. What was demanded at a limit counts, though the original demands none."""
        given = [*episode.refused, *([] if episode.answer is None else [episode.answer])]
        values = [_value(episode.task, answer) for answer in given or [""]]
        best = Value(
            published=max(value.published or 0 for value in values),
            corrected=max(value.corrected or 0 for value in values),
        )
        return Score(values={"success": best, "first_answer": values[0]})


def _value(task: BenchmarkTask, answer: str) -> Value:
    fixed = task.data["fixed"]
    same = _SAME[fixed["compare"]]
    right = any(same(answer, accepted, fixed.get("abs_tol", 0.0)) for accepted in fixed["accept"])
    return Value(published=float(_published(answer, task.data["gold"])), corrected=float(right))


@cache
def toolset() -> Tools:
    """The tools, to look at."""
    return Tools()


@cache
def _tasks() -> tuple[BenchmarkTask, ...]:
    data = resources.files("deepagent.evaluation.benchmarks").joinpath("m3tooleval.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    return tuple(
        BenchmarkTask(
            id=row["id"],
            prompt=f"{row['instruction'].strip()}\nAnswer with the bare value.",
            gold=str(_gold(row)),
            tags={"family": row["family"]},
            data={"gold": _gold(row), "fixed": row["fixed"]},
        )
        for row in rows
    )


def _gold(row: dict[str, Any]) -> Any:
    return tuple(row["expected_published"]) if row["expected_type"] == "tuple" else row["expected_published"]


def _published(given: str, gold: Any) -> bool:
    """As the original judges, bug for bug; its branch for lists always fails."""
    if given == str(gold):
        return True
    left, right = _as_number(given), _as_number(str(gold))
    return left is not None and left == right


def _as_number(text: str) -> float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except (ValueError, OverflowError):
            continue
    return None


# The corrected judge: is this what was accepted?


def _trimmed(given: str) -> str:
    return given[:_LONGEST].strip().strip("\"'`").strip()


def _same_text(given: str, accepted: Any, tolerance: float) -> bool:
    return _trimmed(given) == str(accepted)


def _same_number(given: str, accepted: Any, tolerance: float) -> bool:
    found = _numbers(_trimmed(given))
    return len(found) == 1 and math.isclose(found[0], accepted, rel_tol=0, abs_tol=tolerance)


def _same_list(given: str, accepted: Any, tolerance: float) -> bool:
    value = _literal(given)
    numbers = list(value) if isinstance(value, (list, tuple)) else []
    return len(numbers) == len(accepted) and all(
        isinstance(one, (int, float)) and math.isclose(one, other, rel_tol=0, abs_tol=tolerance)
        for one, other in zip(numbers, accepted, strict=True)
    )


def _same_mapping(given: str, accepted: Any, tolerance: float) -> bool:
    pairs = _PAIR.findall(given[:_LONGEST])
    return len(pairs) == len(accepted) and {letter: int(count) for letter, count in pairs} == accepted


def _same_truth(given: str, accepted: Any, tolerance: float) -> bool:
    return _trimmed(given).lower() == str(accepted).lower()


def _same_pair(given: str, accepted: Any, tolerance: float) -> bool:
    letter, count = accepted
    return _trimmed(given) == letter or _PAIR.findall(given[:_LONGEST]) == [(letter, str(count))]


def _same_number_or_label(given: str, accepted: Any, tolerance: float) -> bool:
    if isinstance(accepted, str):
        return _trimmed(given).lower() == accepted.lower()
    return _same_number(given, accepted, tolerance)


_SAME: dict[str, Callable[[str, Any, float], bool]] = {
    "text": _same_text,
    "number": _same_number,
    "list_of_numbers": _same_list,
    "mapping": _same_mapping,
    "bool": _same_truth,
    "pair_or_letter": _same_pair,
    "number_or_label": _same_number_or_label,
}


def _numbers(text: str) -> list[float]:
    """The numbers of a text that holds nothing else, units aside."""
    return [float(found.replace(",", "").replace("$", "")) for found in _NUMBER.findall(text)]


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(_trimmed(text))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
