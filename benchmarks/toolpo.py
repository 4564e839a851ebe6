"""Does ToolPO teach anything? A tiny model, a task family, tasks that it has not seen.

    python -m benchmarks.toolpo --out FOLDER                  three seeds; goes on where it was broken off
    python -m benchmarks.toolpo --out FOLDER --chart FILE     also draw the curves

For each seed a model is made from nothing and learns from demonstrations. From there it is trained by ToolPO, and
beside it by the same run without action attribution (the advantage of every token is that of the task's success
alone). It prints the share of held-out tasks that are solved: untrained, after the demonstrations, after each run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

from deepagent import settings
from deepagent.cli.terminal import say
from deepagent.config import RunConfig
from deepagent.evaluation.executors import AsyncioExecutor
from deepagent.evaluation.plan import make_plan, opened
from deepagent.runs.store import RunStore
from deepagent.training.recipe import Recipe
from deepagent.training.stages import MODEL, run_sft, run_toolpo

RECIPE, EVALUATION = Path("configs/training/cpu.yaml"), Path("configs/training/cpu-eval.yaml")
WAYS = {"ToolPO": {}, "no action attribution": {"call_weight": 0.0, "fold_weight": 0.0}}
"""What each way changes in the method."""
TOGETHER = 32
"""Episodes at a time, when evaluating."""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for models, runs and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", type=int, default=200, help="held-out tasks")
    parser.add_argument("--chart", type=Path, help="file for the curves, SVG")
    given = parser.parse_args()
    bench = Bench(settings.read(RECIPE, Recipe), given.out, given.tasks)
    for seed in given.seeds:
        bench.seed(seed)
        bench.table()
    if given.chart:
        given.chart.write_text(chart(bench.curves(given.seeds)), encoding="utf-8")


class Bench:
    """The whole comparison, kept in a folder so that it can be broken off."""

    def __init__(self, recipe: Recipe, out: Path, tasks: int) -> None:
        self._recipe = recipe
        self._out = out
        self._tasks = tasks
        self._file = out / "results.json"
        self.results: dict[str, dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def seed(self, seed: int) -> None:
        """Everything with this seed that has not been done yet."""
        recipe = self._recipe.model_copy(update={"seed": seed})
        first = self._out / f"sft-{seed}"
        self._do(f"{seed}/demonstrations", first, lambda: run_sft(recipe, first, say=say, resume=True))
        self._do(f"{seed}/untrained", first, lambda: None, folder="tiny")
        for way, changes in WAYS.items():
            place = self._out / f"{way.replace(' ', '-').lower()}-{seed}"
            part = recipe.toolpo
            assert part is not None
            method = part.method.model_copy(update=changes)
            changed = recipe.model_copy(update={"toolpo": part.model_copy(update={"method": method})})
            begin = first / MODEL
            self._do(
                f"{seed}/{way}",
                place,
                lambda changed=changed, place=place, begin=begin: run_toolpo(
                    changed, place, say=say, resume=True, begin=begin
                ),
            )

    def _do(self, name: str, place: Path, train: Any, folder: str = MODEL) -> None:
        """Train and evaluate, unless that has been done."""
        if name in self.results:
            return
        say(f"--- {name}")
        started = time.perf_counter()
        if folder != MODEL or not (place / folder).is_dir():
            train()
        seconds = time.perf_counter() - started
        solved = asyncio.run(evaluate(place / folder, place / "held-out.sqlite", self._tasks))
        self.results[name] = {"solved": solved, "tasks": self._tasks, "seconds": seconds}
        self._out.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self.results, indent=1))
        say(f"{name}: {solved} of {self._tasks} held-out tasks, {seconds:.0f} s of training")

    def table(self) -> None:
        """Print the share that is solved: a row for each way, a column for each seed, and their mean."""
        ways = ["untrained", "demonstrations", *WAYS]
        seeds = sorted({int(name.split("/")[0]) for name in self.results})
        print("| held-out tasks solved | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean |")
        print("|---|" + "---|" * (len(seeds) + 1))
        for way in ways:
            found = [self.results.get(f"{seed}/{way}") for seed in seeds]
            shares = [one["solved"] / one["tasks"] for one in found if one]
            cells = [f"{one['solved'] / one['tasks']:.1%}" if one else "" for one in found]
            print(f"| {way} | {' | '.join(cells)} | {statistics.mean(shares):.1%} |" if shares else f"| {way} |")

    def curves(self, seeds: list[int]) -> dict[str, list[list[float]]]:
        """For each way and seed: the share of rollouts that solved their task, at each step of training."""
        return {
            way: [_successes(self._out / f"{way.replace(' ', '-').lower()}-{seed}" / "toolpo") for seed in seeds]
            for way in WAYS
        }


async def evaluate(model: Path, store: Path, count: int) -> int:
    """How many held-out tasks a model solves: what `deepagent eval lookup` does."""
    run = settings.read(EVALUATION, RunConfig).model_copy(update={"model": f"transformers:{model}"})
    plan = make_plan("lookup", run)
    with RunStore(store) as runs:
        async with opened(plan, runs) as held:
            work = [(task, 0) for task in held.tasks[:count]]
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
