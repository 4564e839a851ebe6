"""Measure memory: how long runs behave, what folds keep and cost."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks.memory import retention
from benchmarks.memory.baselines import METHODS
from benchmarks.memory.cache import Broken, Remembering
from benchmarks.memory.retention import Fold
from deepagent.models.embedded import EmbeddedModel

AUXILIARY_WINDOW = 8192


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/memory"), help="folder for what is measured")
    commands = parser.add_subparsers(dest="command", required=True)
    keep = commands.add_parser("retention", help="what is in memory after k folds, beside three other methods")
    keep.add_argument("--model", default="qwen2.5-coder-1.5b", help="weights of the auxiliary model, or none")
    keep.add_argument("--method", action="append", choices=sorted(METHODS), help="only this one; repeatable")
    keep.add_argument("--seeds", type=int, nargs="+", default=[1])
    keep.add_argument("--folds", type=int, default=8)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    asyncio.run(_retention(options))


async def _retention(options: argparse.Namespace) -> None:
    methods = options.method or list(METHODS)
    kept = options.work / "replies.sqlite"

    def tell(fold: Fold) -> None:
        print(fold.model_dump_json(), flush=True)

    if options.model == "none":
        for seed in options.seeds:
            await retention.measure(Remembering(Broken(), kept), methods, seed, options.folds, tell)
        return
    async with EmbeddedModel(options.model, context=AUXILIARY_WINDOW, threads=1) as model:
        for seed in options.seeds:
            await retention.measure(Remembering(model, kept), methods, seed, options.folds, tell)


if __name__ == "__main__":
    main()
