"""Measure memory: how long runs behave, what folds keep and cost. Results are added to a folder, and told from there.

python -m benchmarks.memory endurance
python -m benchmarks.memory retention --model none --seeds 1 2 3 --folds 34
python -m benchmarks.memory retention                  # with the embedded model: minutes per fold; can be cut off
python -m benchmarks.memory report --write docs/memory.md
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from pydantic import BaseModel

from benchmarks.memory import report, retention
from benchmarks.memory.baselines import METHODS
from benchmarks.memory.cache import Broken, Formal, Remembering
from benchmarks.memory.endurance import endure
from deepagent.models.embedded import EmbeddedModel

AUXILIARY_WINDOW = 8192
RUNS = (1, 32)
STEPS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/memory"), help="folder for what is measured")
    commands = parser.add_subparsers(dest="command", required=True)
    last = commands.add_parser("endurance", help="a thousand steps in a small window")
    last.add_argument("--runs", type=int, nargs="+", default=list(RUNS), help="how many at a time")
    last.add_argument("--steps", type=int, default=STEPS)
    keep = commands.add_parser("retention", help="what is in memory after k folds, beside three other methods")
    keep.add_argument(
        "--model", default="qwen2.5-coder-1.5b", help="weights of the auxiliary model; or scripted, or none"
    )
    keep.add_argument("--method", action="append", choices=sorted(METHODS), help="only this one; repeatable")
    keep.add_argument("--seeds", type=int, nargs="+", default=[1])
    keep.add_argument("--folds", type=int, default=6)
    back = commands.add_parser("recall", help="what comes back of everything that was planted")
    back.add_argument("--seeds", type=int, nargs="+", default=[1])
    back.add_argument("--folds", type=int, default=34)
    show = commands.add_parser("report", help="the tables of what was measured so far")
    show.add_argument("--write", type=Path, metavar="FILE", help="put them between the marks in this file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.command == "endurance":
        _endurance(options)
    elif options.command == "retention":
        asyncio.run(_retention(options))
    elif options.command == "recall":
        for seed in options.seeds:
            _add(options.work / report.RECALLED, retention.recalled(seed, options.folds, options.work))
    else:
        report.tell(options.work, options.write)


def _endurance(options: argparse.Namespace) -> None:
    for runs in options.runs:
        _add(options.work / report.ENDURANCE, asyncio.run(endure(runs, options.steps, options.work)))


async def _retention(options: argparse.Namespace) -> None:
    methods = options.method or list(METHODS)
    replies, folds = options.work / "replies.sqlite", options.work / report.FOLDS

    async def measure(auxiliary: Remembering) -> None:
        for seed in options.seeds:
            await retention.measure(auxiliary, methods, seed, options.folds, lambda fold: _add(folds, fold))

    made = {"none": Broken, "scripted": Formal}.get(options.model)
    if made is not None:
        await measure(Remembering(made(context=AUXILIARY_WINDOW), replies))
        return
    async with EmbeddedModel(options.model, context=AUXILIARY_WINDOW, threads=1) as model:
        await measure(Remembering(model, replies))


def _add(path: Path, result: BaseModel) -> None:
    line = result.model_dump_json()
    with path.open("a") as lines:
        lines.write(f"{line}\n")
    print(line, flush=True)


if __name__ == "__main__":
    main()
