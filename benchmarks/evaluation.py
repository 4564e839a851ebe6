"""What evaluating adds: to the loop, to a start that takes an evaluation up again, and to reading many results.

    python -m benchmarks.evaluation            all three, a few minutes
    python -m benchmarks.evaluation --quick    a tenth of the episodes

1. Scripted episodes of 20 steps, first by the raw loop (`Agent.run`, runs stored), then by the harness (runs and
   results stored, 16 at a time); in turns, and the ratio of their steps per second is printed.
2. An evaluation of 10,000 episodes whose results are there but for one: the time until the first episode begins.
3. A report of 100,000 episodes: the time to write it, its size, and, where Chromium is installed, the time until the
   browser has it on its page.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deepagent import Agent, AgentConfig, RunStore, ScriptedModel
from deepagent.budget import Limits
from deepagent.evaluation import report, runner
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Metric, Score, Value
from deepagent.evaluation.executors import AsyncioExecutor
from deepagent.evaluation.results import EpisodeResult, Setup
from deepagent.evaluation.store import ResultStore
from deepagent.evaluation.worker import Worker
from deepagent.models.base import Usage
from deepagent.toolsets.functions import tool

STEPS = 20
CONFIG = AgentConfig(encoder="hash", execute=False, fold=None, limits=Limits(actions=STEPS + 5, idle=None))
METRICS = (Metric(name="right", meaning="the answer is right", binary=True),)


@tool
async def lookup(number: int) -> str:
    """Looks up a number."""
    return f"number {number} is {number * number}"


class Squares(Benchmark[BenchmarkConfig]):
    """Tasks of 20 steps."""

    name = "squares"
    metrics = METRICS

    def __init__(self, count: int) -> None:
        super().__init__(BenchmarkConfig())
        self._tasks = [
            BenchmarkTask(id=f"t{n:06}", prompt=f"Task {n}: add the squares.", gold="1") for n in range(count)
        ]

    def tasks(self):
        return self._tasks

    async def score(self, episode, judge):
        right = episode.answer == episode.task.gold and len(episode.steps) == STEPS
        return Score(values={"right": Value.same(right)})


def script(window) -> str:
    step = sum(segment.kind == "generated" for segment in window.segments) + 1
    if step == STEPS:
        return "All is added.\n<answer>1</answer>"
    return f'I look up {step}.\n<tool_call>{{"name": "lookup", "arguments": {{"number": {step}}}}}</tool_call>'


def agent(store: RunStore) -> Agent:
    return Agent(ScriptedModel(script, context=100_000), [lookup], config=CONFIG, store=store)


async def raw(folder: Path, tasks) -> float:
    with RunStore(folder / "raw.sqlite") as store:
        async with agent(store) as ours:
            began = time.perf_counter()
            for task in tasks:
                run = await ours.run(task.prompt)
                assert run.steps == STEPS
            return time.perf_counter() - began


async def harness(folder: Path, tasks) -> float:
    benchmark = Squares(0)
    with RunStore(folder / "runs.sqlite") as store, ResultStore(folder / "results.sqlite") as results:
        async with agent(store) as ours:
            began = time.perf_counter()
            evaluation = runner.begin(results, setup(str(tasks[0].id)), METRICS, resume=False)
            executor = AsyncioExecutor(Worker(benchmark, ours), 16)
            await runner.run(evaluation, tasks, seeds=1, executor=executor, store=results)
            took = time.perf_counter() - began
        assert all(one.score.values["right"].corrected == 1 for one in results.results(evaluation.id))
    return took


def setup(name: str) -> Setup:
    return Setup(
        benchmark="squares", mode="open-set", settings={}, data_hash=name, model="scripted", context=1, roles={},
        agent={}, baseline=None, prompt_hash="", tools_hash="", retriever="hash", version="",
    )  # fmt: skip


def speed(folder: Path, episodes: int) -> None:
    tasks, part = Squares(episodes).tasks(), max(1, episodes // 10)
    spent = {"raw loop": 0.0, "harness": 0.0}
    for number in range(0, episodes, part):
        some = tasks[number : number + part]
        spent["raw loop"] += asyncio.run(raw(folder, some))
        spent["harness"] += asyncio.run(harness(folder, some))
    rates = {name: episodes * STEPS / seconds for name, seconds in spent.items()}
    for name, rate in rates.items():
        print(f"{name}: {episodes} episodes of {STEPS} steps at {rate:,.0f} steps/s")
    print(f"ratio: {rates['harness'] / rates['raw loop']:.0%} of the raw loop (at least 80 % is wanted)")


def made(number: int) -> EpisodeResult:
    right = number % 3 == 0
    return EpisodeResult(
        task=f"t{number:06}", seed=0, run=f"20261125-000000-{number:06x}", status="answered",
        reason="the model answered", answer=f"the answer number {number}, in a few words", gold=str(number),
        tags={"level": str(number % 4), "kind": "text" if number % 2 else "image"},
        score=Score(values={"right": Value.same(right)}), steps=number % 37, calls=number % 11, folds=number % 2,
        usage=Usage(prompt_tokens=1000 + number % 500, completion_tokens=200), seconds=1 + number % 90 / 7, at=0.0,
    )  # fmt: skip


def filled(results: ResultStore, count: int, name: str):
    evaluation = runner.begin(results, setup(name), METRICS, resume=False)
    results._database.connection.execute("BEGIN")  # the rows are made up: one transaction is enough
    for number in range(count):
        results.add(evaluation.id, made(number))
    results._database.connection.execute("COMMIT")
    return evaluation


class Clock:
    """A worker that only says when it is called."""

    called = 0.0

    async def episode(self, task, seed):
        self.called = time.perf_counter()
        return made(int(task.id[1:]))


def resuming(folder: Path, episodes: int) -> None:
    tasks = Squares(episodes).tasks()
    with ResultStore(folder / "many.sqlite") as results:
        filled(results, episodes - 1, "resume")
    clock = Clock()
    began = time.perf_counter()
    with ResultStore(folder / "many.sqlite") as results:
        evaluation = runner.begin(results, setup("resume"), METRICS, resume=True)
        executor = AsyncioExecutor(clock, 1)
        asyncio.run(runner.run(evaluation, tasks, seeds=1, executor=executor, store=results))
    print(f"resume of {episodes:,} episodes: found its place in {clock.called - began:.2f} s (2 s are allowed)")


def reporting(folder: Path, episodes: int) -> None:
    with ResultStore(folder / "report.sqlite") as results:
        evaluation = filled(results, episodes, "report")
        began, busy = time.perf_counter(), time.process_time()
        page, _ = report.write([evaluation], results, folder / "report.html", viewer=report.VIEWER)
    took, busy, size = time.perf_counter() - began, time.process_time() - busy, page.stat().st_size >> 20
    print(f"report of {episodes:,} episodes: written in {took:.1f} s ({busy:.1f} s of one core), {size} MiB")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("Chromium is not installed: how fast the page opens was not measured")
        return
    arguments = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    shown = []
    for _ in range(3):
        done = subprocess.run([*arguments, page.as_uri()], capture_output=True, text=True, check=True).stdout
        assert f"{episodes} episodes, page 1 of" in done, "the page's script has not run"
        shown.append(int(re.search(r'data-shown="(\d+)"', done).group(1)) / 1000)
    tries = ", ".join(f"{seconds:.1f}" for seconds in shown)
    print(
        f"report opens in {tries} s from navigation to the first page of episodes, in headless Chromium (3 s allowed)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the episodes")
    parser.add_argument("part", nargs="?", choices=PARTS, help="only this one")
    chosen = parser.parse_args()
    for name, (measure, episodes) in PARTS.items():
        if chosen.part in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                measure(Path(folder), episodes // (10 if chosen.quick else 1))


PARTS = {"speed": (speed, 2_000), "resume": (resuming, 10_000), "report": (reporting, 100_000)}


if __name__ == "__main__":
    sys.exit(main())
