"""ToolBench: requests in plain words that need APIs of RapidAPI.

A judge decides whether a request is solved. ToolBench passes an instruction also when it is judged unsolvable, and
DeepAgent's evaluator decides what the judge leaves open, and every episode without an answer, by a coin
(`published` has the coin's expected value, and never throws one). `corrected` is StableToolBench's solvable pass rate:
the mean over the votes on tasks that are known to be solvable; what is open, and no answer, is not solved.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field

from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.evaluation.benchmarks.called import Called, calls, listed
from deepagent.evaluation.judges import quoted
from deepagent.resources import ToolSource
from deepagent.secrets import Secret
from deepagent.tools import Arguments
from deepagent.toolsets.base import ToolList
from deepagent.toolsets.toolbench.toolset import ToolBench, catalogue
from deepagent.toolsets.toolbench.toolset import ToolBenchConfig as ToolsetConfig

_PROMPT = """{query}

Use the APIs to find out what is asked for. Where one fails, try another one. Then answer with all that was asked for; \
if the APIs cannot give it, say which part is missing and why."""
_SOLVED = """An agent was given a request, and called APIs for it. Does the final answer solve the request?

Solved: it gives all that was asked for, and what it says stands in the results of the calls.
Unsolved: it lacks a part, refuses, apologises, or says what no result says.
Unsure: this cannot be decided by what is shown.

<request>{query}</request>
<calls>
{calls}
</calls>
<answer>{answer}</answer>"""
_SOLVABLE = """Can a request be solved with the APIs that are listed for it?

Unsolvable: the request lacks what every way would need, is contradictory, or no listed API can give what it asks for.
Solvable: otherwise.
Unsure: this cannot be decided by what is shown.

<request>{query}</request>
<apis>
{apis}
</apis>"""
_COIN = 0.5


class ToolBenchConfig(BenchmarkConfig):
    """How the APIs are called, and how often the judge is asked."""

    key: Secret | None = None
    """A ToolBench key: with it the real APIs are called; by default a model plays them."""
    simulator: str = "embedded"
    """The model that plays them."""
    cache: Path | None = None
    """Folder in which what it plays is kept."""
    votes: int = Field(1, ge=1)
    """How often the judge is asked, each time with another seed. DeepAgent's run asked 4 times."""


class ToolBenchBenchmark(Benchmark[ToolBenchConfig]):
    """The benchmark."""

    name = "toolbench"
    about = "requests in plain words that need some of 1,996 APIs"
    modes = ("open-set", "labelled")
    metrics = (
        Metric(name="passed", meaning="the request was solved, by the judge; as published also if it cannot be",
               published=True),
        Metric(name="path", meaning="share of the relevant APIs that were called", published=True),
    )  # fmt: skip
    Config = ToolBenchConfig

    @property
    def sources(self) -> Sequence[ToolSource]:
        """All APIs: real ones with a key, else played."""
        if self.config.key is not None:
            return ({"kind": "toolbench", "key": self.config.key.model_dump(exclude_none=True)},)
        return (
            {
                "kind": "simulated",
                "source": "toolbench",
                "model": self.config.simulator,
                "cache": self.config.cache,
            },
        )

    @property
    def rehearsal(self) -> Sequence[ToolSource]:
        """All APIs; each call that fits its schema succeeds, and says nothing."""
        tools = ToolBench(ToolsetConfig()).tools
        return [ToolList("toolbench", [replace(tool, invoke=_nothing, simulated=True) for tool in tools])]

    def tasks(self) -> Sequence[BenchmarkTask]:
        """The 200 instructions of G1_instruction, then the 200 of G2_instruction."""
        return _tasks()

    def offered(self, task: BenchmarkTask) -> Sequence[str] | None:
        """The APIs that are listed for the instruction, when they are given."""
        return task.data["listed"] if self.mode == "labelled" else None

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Count the APIs; ask the judge whether the request is solved."""
        relevant = episode.task.data["relevant"]
        made = calls(episode.steps)
        tried, done = {call.name for call in made}, {call.name for call in made if call.ok}
        return Score(
            values={
                "passed": await self._passed(episode, made, judge),
                "path": Value(published=_share(relevant, tried), corrected=_share(relevant, done)),
            }
        )

    async def _passed(self, episode: Episode, made: Sequence[Called], judge: Judge) -> Value:
        data = episode.task.data
        answer = (episode.answer or "").strip()
        if not answer:
            judge.rule("there is no answer", "Unsolved")
            return Value(published=_COIN, corrected=0.0 if data["solvable"] else None)
        question = _SOLVED.format(query=data["query"], calls=quoted(listed(made)), answer=quoted(answer))
        choices = ["Solved", "Unsolved", "Unsure"]
        votes = [await judge.choose(question, choices, seed=seed) for seed in range(self.config.votes)]
        told = [vote for vote in votes if vote is not None]
        if not told:
            return Value(published=None, corrected=None)
        solved = told.count("Solved") / len(told)
        return Value(
            published=await self._as_published(data, told, judge), corrected=solved if data["solvable"] else None
        )

    async def _as_published(self, data: dict[str, Any], votes: Sequence[str], judge: Judge) -> float | None:
        """Pass where most votes say so: solved, or of a request that cannot be solved; a coin decides what is open."""
        worth = {"Solved": 1.0, "Unsure": _COIN}
        if any(vote == "Unsolved" for vote in votes):
            question = _SOLVABLE.format(query=data["query"], apis=_described(data["listed"]))
            choice = await judge.choose(question, ["Solvable", "Unsolvable", "Unsure"])
            worth["Unsolved"] = {"Unsolvable": 1.0, "Solvable": 0.0}.get(choice or "", _COIN)
        mean = sum(worth[vote] for vote in votes) / len(votes)
        return _COIN if mean == _COIN else float(mean > _COIN)

    def oracle(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """The relevant APIs, with arguments that fit their schemas. It knows nothing of what they say."""
        known = {row["name"]: row["parameters"] for row in catalogue()}
        path = [Call(name=name, arguments=_arguments(known[name])) for name in task.data["relevant"]]
        return [*path, Answer(text="It is done.")]


@cache
def _tasks() -> tuple[BenchmarkTask, ...]:
    data = resources.files("deepagent.evaluation.benchmarks").joinpath("toolbench.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    return tuple(
        BenchmarkTask(
            id=row["id"],
            prompt=_PROMPT.format(query=row["query"]),
            gold=", ".join(row["relevant"]),
            tags={"set": row["id"][:2], "solvable": "yes" if row["solvable"] else "no"},
            data={key: row[key] for key in ("query", "relevant", "listed", "solvable")},
        )
        for row in rows
    )


async def _nothing(arguments: Arguments) -> str:
    return ""


def _share(relevant: Sequence[str], made: set[str]) -> float:
    return sum(name in made for name in relevant) / len(relevant)


def _described(names: Sequence[str]) -> str:
    known = {row["name"]: row["description"] for row in catalogue()}
    return "\n".join(f"{name}: {known[name][:300]}" for name in names)


def _arguments(schema: dict[str, Any]) -> dict[str, Any]:
    samples = {"number": 1, "boolean": True, "array": [], "object": {}}
    return {name: samples.get(schema["properties"][name]["type"], "x") for name in schema["required"]}
