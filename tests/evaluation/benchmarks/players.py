"""Agents that need no model: an oracle that plays what the benchmark says, and one that answers nothing."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from deepagent import Agent, RunStore, ScriptedModel
from deepagent.actions import Action, Answer, Call, Execute
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.evaluation.runner import TaskResult, run_tasks
from tests.support import HASHED, answer, call, execute

PLAIN = HASHED.model_copy(update={"execute": False, "fold": None, "cards": 500})
"""Tools are shown, not searched, and code is not run: no sandbox is needed."""


def written(action: Action) -> str:
    """An action as a model writes it."""
    if isinstance(action, Call):
        return call(action.name, **action.arguments)
    if isinstance(action, Execute):
        return execute(action.code)
    assert isinstance(action, Answer)
    return answer(action.text)


async def play(
    benchmark: AnyBenchmark,
    folder: Path,
    *,
    actions: Callable[[BenchmarkTask], Sequence[Action]],
    tasks: Sequence[BenchmarkTask] | None = None,
    judge: ScriptedModel | None = None,
) -> dict[str, TaskResult]:
    """Run tasks with scripted actions, through the agent's own loop; results by task."""
    chosen = list(tasks if tasks is not None else benchmark.tasks())
    scripts: dict[str, list[str]] = {task.prompt: [written(action) for action in actions(task)] for task in chosen}
    steps: dict[str, int] = defaultdict(int)
    playing = ""

    def reply(window: object) -> str:
        step, steps[playing] = steps[playing], steps[playing] + 1
        return scripts[playing][step] if step < len(scripts[playing]) else ""

    results: dict[str, TaskResult] = {}
    with RunStore(folder / "runs.sqlite") as store:
        async with (
            benchmark,
            Agent(
                ScriptedModel(reply, context=200_000), benchmark.sources, config=PLAIN, judge=judge, store=store
            ) as agent,
        ):
            for task in chosen:
                playing = task.prompt
                async for result in run_tasks(benchmark, [task], agent):
                    results[task.id] = result
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
