"""Does the task get done? Our loop beside other frameworks, with one small model, the same tools and tasks.

    python -m benchmarks.success run --quick                          our loop, a few tasks of each set
    python -m benchmarks.success run --who smolagents-code            a peer (installs it), every task of every set
    python -m benchmarks.success run --set m3tooleval --half working  while the loop is worked on
    python -m benchmarks.success report --write docs/success.md       the tables of what was run so far

Everything takes hours on two cores. What is interrupted goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.success import kept, report
from benchmarks.success.bench import Order, work
from benchmarks.success.roster import OURS, PEERS
from benchmarks.success.sets import HALVES, SETS
from deepagent.evaluation.store import ResultStore
from deepagent.runs.store import RunStore


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.success", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build/success"), help="folder for what is measured")
    parser.add_argument("--kept", type=Path, default=kept.FOLDER, help="folder of what the tables in the docs are of")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run what has no result yet")
    run.add_argument("--who", nargs="+", default=[OURS], choices=[OURS, *PEERS])
    run.add_argument("--set", nargs="+", default=list(SETS), choices=list(SETS), dest="sets")
    run.add_argument("--half", nargs="+", default=list(HALVES), choices=HALVES, dest="halves")
    run.add_argument("--quick", action="store_true", help="few tasks of each half: some minutes on two quiet cores")
    run.add_argument("--limit", type=int, help="tasks of each half and set")
    run.add_argument("--seeds", type=int, default=1)
    run.add_argument("--temperature", type=float, default=0.0, help="0.7 goes with --seeds 3")
    run.add_argument("--seconds", type=float, default=300.0, help="wall-clock limit of a task")
    run.add_argument("--model", default="qwen2.5-coder-1.5b", help="weights")
    run.add_argument("--label", help="what to call this in the tables, such as a state of the code")
    told = commands.add_parser("report", help="the tables of what was run so far")
    told.add_argument(
        "--write", type=Path, metavar="FILE", help="put them between the marks in this file, and keep what they are of"
    )
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    with ResultStore(options.work / "results.sqlite") as results:
        kept.load(results, options.kept)
        if options.command == "report":
            report.tell(results, options.write)
            if options.write:
                kept.save(results, options.kept)
            return
        with RunStore(options.work / "runs.sqlite") as runs:
            for order in orders(options):
                asyncio.run(work(order, runs, results, lambda line: print(line, flush=True)))


def orders(options: argparse.Namespace) -> list[Order]:
    """What the options ask for, one set and framework after the other."""
    return [
        Order(
            which=SETS[name],
            who=who,
            label=options.label or who,
            halves=tuple(options.halves),
            limit=options.limit or (SETS[name].quick if options.quick else None),
            seeds=options.seeds,
            temperature=options.temperature,
            seconds=options.seconds,
            model=options.model,
        )
        for name in options.sets
        for who in options.who
        if fits(who, name)
    ]


def fits(who: str, name: str) -> bool:
    """Bigtool is for catalogues; it takes the place of langgraph's own agent there."""
    searches = SETS[name].mode == "open-set"
    return {"langgraph": not searches, "langgraph-bigtool": searches}.get(who, True)


if __name__ == "__main__":
    main()
