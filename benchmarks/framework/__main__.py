"""Measure the loop's cost beside raw loops, and with --peers beside other frameworks.

Server and client have a core each. Each figure is the median of passes that take turns; only ratios within one run
travel between machines, and not even those tell apart what lies within the spread that is printed with them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

from benchmarks.framework import passes, report
from benchmarks.framework.roster import BASE, PEERS

RUNS = {1: 30, 32: 96, 256: 256}
"""How often the script is played for each number of runs at a time."""
QUICK_RUNS = {1: 10, 32: 32, 256: 256}
PASSES = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.framework", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pass with few runs, without the other frameworks")
    parser.add_argument("--peers", action="store_true", help="measure other frameworks too (installs them)")
    parser.add_argument("--passes", type=int, help=f"how many passes (default {PASSES}, quick 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every cell of every pass to a file")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="hold this lock while measuring one cell")
    options = parser.parse_args()
    if options.quick and options.peers:
        parser.error("--quick leaves the other frameworks out: give one of --quick and --peers")
    clients = (*BASE, *PEERS) if options.peers else BASE
    runs = QUICK_RUNS if options.quick else RUNS
    count = options.passes or (1 if options.quick else PASSES)
    measured = None
    with contextlib.suppress(KeyboardInterrupt):  # the passes that are complete count
        for measured in passes.measure(clients, runs, count, options.lock):
            if options.json:
                options.json.write_text(json.dumps(report.record(measured, clients, runs), indent=1) + "\n")
    if measured is None:
        raise SystemExit("no pass is complete")
    report.show(measured, clients, runs)


if __name__ == "__main__":
    main()
