"""Agents that need no model: an oracle that plays what the benchmark says, and one that answers nothing."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deepagent import Agent, RunStore, ScriptedModel
from deepagent.actions import Action, Call, Observation
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Episode, Mode
from deepagent.evaluation.known import spelled
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
    actions: Callable[[BenchmarkTask], Sequence[Action]],
    tasks: Sequence[BenchmarkTask] | None = None,
    judge: ScriptedModel | None = None,
) -> dict[str, EpisodeResult]:
    """Run tasks with scripted actions, through the agent's own loop; results by task."""
    chosen = list(tasks if tasks is not None else benchmark.tasks())
    scripts: dict[str, list[str]] = {task.prompt: [spelled(action) for action in actions(task)] for task in chosen}
    steps: dict[str, int] = defaultdict(int)
    playing = ""

    def reply(window: object) -> str:
        step, steps[playing] = steps[playing], steps[playing] + 1
        return scripts[playing][step] if step < len(scripts[playing]) else ""

    results: dict[str, EpisodeResult] = {}
    with RunStore(folder / "runs.sqlite") as store:
        async with (
            benchmark,
            Agent(
                ScriptedModel(reply, context=200_000), benchmark.sources, config=PLAIN, judge=judge, store=store
            ) as agent,
        ):
            for task in chosen:
                playing = task.prompt
                results[task.id] = await Worker(benchmark, agent, retries=0).episode(task, 0)
    return results


def oracle(benchmark: AnyBenchmark) -> Callable[[BenchmarkTask], Sequence[Action]]:
    """The benchmark's own oracle."""

    def actions(task: BenchmarkTask) -> Sequence[Action]:
        known = benchmark.oracle(task)
        assert known is not None, f"{task.id} has no oracle"
        return known

    return actions


def empty(task: BenchmarkTask) -> Sequence[Action]:
    """An agent that says nothing at all."""
    return []


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
