"""Does ToolPO teach anything? A tiny model, a task family, tasks that it has not seen.

    python -m benchmarks.toolpo --out FOLDER                  three seeds; goes on where it was broken off
    python -m benchmarks.toolpo --out FOLDER --chart FILE     also draw the curves
    python -m benchmarks.toolpo --out FOLDER --seeds 0

A model is made from nothing and learns from demonstrations. From there it is trained by ToolPO, once with each seed,
and beside it by the same runs without action attribution (the advantage of every token is that of the task's success
alone). It prints the share of held-out tasks that are solved: untrained, after the demonstrations, after each run;
when the likeliest token is taken, and when tokens are drawn as they are in training.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepagent import settings
from deepagent.cli.terminal import say
from deepagent.config import RunConfig
from deepagent.errors import UsageError
from deepagent.evaluation.executors import AsyncioExecutor
from deepagent.evaluation.plan import make_plan, opened
from deepagent.runs.store import RunStore
from deepagent.training.recipe import Recipe
from deepagent.training.stages import MODEL, run_sft, run_toolpo

RECIPE, EVALUATION = Path("configs/training/cpu.yaml"), Path("configs/training/cpu-eval.yaml")
WAYS: dict[str, dict[str, float]] = {"ToolPO": {}, "no action attribution": {"call_weight": 0.0, "fold_weight": 0.0}}
"""What each way changes in the method."""
HOW = {"greedy": 0.0, "drawn": 1.0}
"""How tokens are chosen, and the temperature that says so."""
TOGETHER = 32
"""Episodes at a time, when evaluating."""
UNTRAINED = 40
"""Held-out tasks for the untrained model, which knows no word and writes each time as long as it may."""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for models, runs and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", type=int, default=200, help="held-out tasks")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--chart", type=Path, help="file for the curves, SVG")
    given = parser.parse_args()
    bench = Bench(settings.read(given.recipe, Recipe), given.out, given.tasks)
    bench.begin()
    for seed in given.seeds:
        for way in WAYS:
            bench.run(way, seed)
    bench.table(given.seeds)
    if given.chart:
        given.chart.write_text(chart(bench.curves(given.seeds)), encoding="utf-8")


class Bench:
    """The whole comparison, kept in a folder so that it can be broken off."""

    def __init__(self, recipe: Recipe, out: Path, tasks: int) -> None:
        self._recipe = recipe
        self._out = out
        self._tasks = tasks
        self._kept = out / "results"
        self._kept.mkdir(parents=True, exist_ok=True)

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """What is done so far, also by another process that works in this folder on other seeds."""
        return {file.stem: json.loads(file.read_text()) for file in self._kept.glob("*.json")}

    def begin(self) -> None:
        """The model that all runs begin with."""
        place = self._out / "demonstrations"
        self._do("demonstrations", place / MODEL, lambda: run_sft(self._recipe, place, say=say, resume=True))
        self._do("untrained", place / "tiny", lambda: None, tasks=min(UNTRAINED, self._tasks))

    def run(self, way: str, seed: int) -> None:
        """One run of ToolPO, unless it has been done."""
        part = self._recipe.toolpo
        if part is None:
            raise UsageError("the recipe has no part `toolpo`")
        method = part.method.model_copy(update=WAYS[way])
        changes = {"seed": seed, "toolpo": part.model_copy(update={"method": method})}
        recipe = self._recipe.model_copy(update=changes)
        place, begin = self._place(way, seed), self._out / "demonstrations" / MODEL
        self._do(
            f"{way}, seed {seed}", place / MODEL, lambda: run_toolpo(recipe, place, say=say, resume=True, begin=begin)
        )

    def _place(self, way: str, seed: int) -> Path:
        return self._out / f"{way.replace(' ', '-').lower()}-{seed}"

    def _do(self, name: str, model: Path, train: Callable[[], object], tasks: int | None = None) -> None:
        """Train and evaluate, unless that has been done."""
        tasks = tasks or self._tasks
        if name in self.results:
            return
        say(f"--- {name}")
        started = time.perf_counter()
        if not model.is_dir():
            train()
        seconds = time.perf_counter() - started
        store = self._out / "held-out.sqlite"
        solved = {how: asyncio.run(evaluate(model, store, tasks, at)) for how, at in HOW.items()}
        result = {"solved": solved, "tasks": tasks, "seconds": round(seconds)}
        (self._kept / f"{name}.json").write_text(json.dumps(result) + "\n")
        say(f"{name}: {solved} of {tasks} held-out tasks, {seconds:.0f} s of training")

    def table(self, seeds: list[int]) -> None:
        """Print the share that is solved: a row for each way, a column for each seed, and their mean."""
        results = self.results
        for how in HOW:
            print(
                f"| {self._tasks} held-out tasks, {how} | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean |"
            )
            print("|---|" + "---|" * (len(seeds) + 1))
            for way in ("untrained", "demonstrations", *WAYS):
                names = [f"{way}, seed {seed}" for seed in seeds] if way in WAYS else [way]
                shares = [results[name]["solved"][how] / results[name]["tasks"] for name in names if name in results]
                cells = [f"{share:.1%}" for share in shares if way in WAYS]
                cells += [""] * (len(seeds) - len(cells))
                mean = f"{statistics.mean(shares):.1%}" if shares else ""
                print(f"| {way} | {' | '.join(cells)} | {mean} |", flush=True)
            print()

    def curves(self, seeds: list[int]) -> dict[str, list[list[float]]]:
        """For each way and seed: the share of rollouts that solved their task, at each step of training."""
        return {way: [_successes(self._place(way, seed) / "toolpo") for seed in seeds] for way in WAYS}


async def evaluate(model: Path, store: Path, count: int, temperature: float) -> int:
    """How many held-out tasks a model solves: what `deepagent eval lookup` does."""
    run = settings.read(EVALUATION, RunConfig)
    sampling = run.agent.sampling.model_copy(update={"temperature": temperature})
    agent = run.agent.model_copy(update={"sampling": sampling})
    run = run.model_copy(update={"model": f"transformers:{model}", "agent": agent})
    plan = make_plan("lookup", run)
    with RunStore(store) as runs:
        async with opened(plan, runs) as held:
            work = [(task, seed) for seed, task in enumerate(held.tasks[:count])]  # each draws with chances of its own
            results = [one async for one in AsyncioExecutor(held.worker, TOGETHER).run(work)]
    return sum((one.score.values["success"].corrected or 0.0) >= 1 for one in results)


def _successes(folder: Path) -> list[float]:
    last = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    return [entry["rollouts/success"] for entry in history if "rollouts/success" in entry]


def chart(curves: dict[str, list[list[float]]], window: int = 5) -> str:
    """Each run's curve, thin, and the mean of each way over its seeds, thick; smoothed over some steps."""
    wide, high, left = 560, 260, 46
    colours = ("#1f6feb", "#d1242f")
    steps = max(len(curve) for runs in curves.values() for curve in runs)

    def path(values: list[float], style: str) -> str:
        smooth = [statistics.mean(values[max(0, at - window + 1) : at + 1]) for at in range(len(values))]
        points = " ".join(
            f"{left + at / max(1, steps - 1) * wide:.1f},{10 + (1 - value) * high:.1f}"
            for at, value in enumerate(smooth)
        )
        return f'<polyline points="{points}" fill="none" {style}/>'

    parts = [
        f'<path d="M{left} {10 + (1 - share) * high:.1f}h{wide}" stroke="#d0d7de"/>'
        f'<text x="{left - 6}" y="{14 + (1 - share) * high:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    for number, (way, runs) in enumerate(curves.items()):
        colour = colours[number]
        parts += [path(curve, f'stroke="{colour}" stroke-opacity="0.3"') for curve in runs]
        means = [statistics.mean(values) for values in zip(*runs, strict=False)]
        parts.append(path(means, f'stroke="{colour}" stroke-width="2.5"'))
        parts.append(f'<text x="{left + 10 + number * 90}" y="{high + 48}" fill="{colour}">{way}</text>')
    parts.append(f'<text x="{left}" y="{high + 28}">0</text>')
    parts.append(f'<text x="{left + wide}" y="{high + 28}" text-anchor="end">step {steps}</text>')
    style = "font:12px sans-serif;fill:#57606a"
    body = "".join(parts)
    size = f'viewBox="0 0 {left + wide + 14} {high + 58}" style="{style};background:#fff"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{body}</svg>\n'


if __name__ == "__main__":
    main()
