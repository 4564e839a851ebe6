"""Agents that need no model play benchmarks, and episodes are made up for scorers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepagent import Agent, RunStore, ScriptedModel
from deepagent.actions import Call, Observation
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Episode, Mode
from deepagent.evaluation.known import KnownAnswers, Way
from deepagent.evaluation.results import EpisodeResult
from deepagent.evaluation.worker import Worker
from deepagent.runs.events import Event, Intended, Observed, Status
from deepagent.transcript import Segment
from tests.support import HASHED

PLAIN = HASHED.model_copy(update={"execute": False, "fold": None, "cards": 500})
"""Tools are shown, not searched, and code is not run: no sandbox is needed."""


async def play(
    benchmark: AnyBenchmark,
    folder: Path,
    *,
    actions: Way,
    tasks: Sequence[BenchmarkTask] | None = None,
    judge: ScriptedModel | None = None,
) -> dict[str, EpisodeResult]:
    """Run tasks with scripted actions, through the agent's own loop; results by task."""
    known = KnownAnswers(actions, "scripted")
    results: dict[str, EpisodeResult] = {}
    with RunStore(folder / "runs.sqlite") as store:
        async with benchmark, Agent(known.model, benchmark.rehearsal, config=PLAIN, judge=judge, store=store) as agent:
            worker = Worker(benchmark, agent, retries=0, begin=known.begin)
            for task in tasks if tasks is not None else benchmark.tasks():
                results[task.id] = await worker.episode(task, 0)
    return results


Made = tuple[str, dict[str, Any], str, bool]
"""A call: name, arguments, result, and whether it succeeded."""


def episode(task: BenchmarkTask, answer: str | None, calls: Sequence[Made] = (), mode: Mode = "open-set") -> Episode:
    """An episode of these calls, for scorers."""
    events: list[Event] = []
    for number, (name, arguments, result, ok) in enumerate(calls, 1):
        events.append(Intended(step=number, thought="", action=Call(name=name, arguments=arguments)))
        seen = Observation(text=result, error=None if ok else "tool_failed")
        events.append(
            Observed(step=number, observation=seen, segment=Segment(kind="observation", text=result), seconds=0)
        )
    status: Status = "answered" if answer is not None else "limit"
    return Episode(task=task, mode=mode, answer=answer, status=status, events=events)
