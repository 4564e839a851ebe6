"""ToolHop: multi-hop questions over executable functions, here over the open catalogue of all tasks' functions.

Scored like the original, by the final answer. DeepAgent's evaluator compares lower-cased text (`published`);
`corrected` also takes 15.0 for 15 and ignores quotes and a final full stop.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from deepagent.actions import Action, Answer, Call, Execute
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.evaluation.benchmarks.called import calls

_PROMPT = """{question}

Every fact must be looked up with a tool: find a tool, and call it with the exact names from the question or from an \
earlier result; compute the rest with Python. If a tool knows nothing, try another one. Answer with the bare value."""


class ToolHop(Benchmark[BenchmarkConfig]):
    """The benchmark."""

    name = "toolhop"
    about = "questions of several hops over 235 look-alike functions"
    modes = ("open-set", "labelled")
    metrics = (
        Metric(name="correct", meaning="the final answer is right", binary=True, published=True),
        Metric(name="path", meaning="share of the intermediate answers that a tool's result showed", published=True),
    )
    sources = ("toolhop",)

    def tasks(self) -> Sequence[BenchmarkTask]:
        """The 50 tasks of the sample, in its order."""
        return _tasks()

    def offered(self, task: BenchmarkTask) -> Sequence[str] | None:
        """The task's own functions, when they are given."""
        return task.data["tools"] if self.mode == "labelled" else None

    def oracle(self, task: BenchmarkTask) -> Sequence[Action]:
        """The answer alone: the data does not say with which arguments the functions lead to it."""
        return (Answer(text=task.gold),)

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Compare the final answer; find intermediate answers in what tools returned.

        What code prints, such as a guess, shows one only as published.
        """
        task, given = episode.task, episode.answer or ""
        wanted = [str(sub).lower() for sub in task.data["sub_task"].values()]
        returned = [call.result for call in calls(episode.steps) if call.ok]
        # Tool cards do not count: some quote an answer as an example.
        shown = [
            step.observation.text
            for step in episode.steps
            if step.observation and isinstance(step.action, Call | Execute) and not step.observation.found
        ]
        anything, by_tools = "\n".join([*shown, *returned]).lower(), "\n".join(returned).lower()
        return Score(
            values={
                "correct": Value(
                    published=float(given.strip().lower() == task.gold.strip().lower()),
                    corrected=float(_same(given, task.gold)),
                ),
                "path": Value(
                    published=sum(sub in anything for sub in wanted) / len(wanted),
                    corrected=sum(_shows(by_tools, sub) for sub in wanted) / len(wanted),
                ),
            }
        )


@cache
def _tasks() -> tuple[BenchmarkTask, ...]:
    data = resources.files("deepagent.evaluation.benchmarks").joinpath("toolhop.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    return tuple(
        BenchmarkTask(
            id=row["id"],
            prompt=_PROMPT.format(question=row["question"]),
            gold=row["answer"],
            tags={"hops": str(row["hop_count"])},
            data={"sub_task": row["sub_task"], "tools": row["tools"]},
        )
        for row in rows
    )


def _shows(text: str, answer: str) -> bool:
    """Whether the answer stands in the text as words of its own: 15 is not in 1526."""
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text) is not None


def _same(given: str, gold: str) -> bool:
    left, right = _normal(given), _normal(gold)
    if left == right:
        return True
    number = r"-?\d+(?:\.\d+)?"
    return bool(re.fullmatch(number, left) and re.fullmatch(number, right)) and float(left) == float(right)


def _normal(text: str) -> str:
    return re.sub(r"""^[\s"'`]+|[\s"'`.]+$""", "", text).lower()
