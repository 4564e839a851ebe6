"""python -m benchmarks.success.peers MODULE[:FUNCTION]: a framework that waits for tasks on its standard input."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from benchmarks.success.peers.link import Job, Link

Solve = Callable[[Job, Link], str | None]
"""Works on a task and gives the answer; what it raises is why it failed."""


def main() -> None:
    module, _, variant = sys.argv[1].partition(":")
    solve: Solve = getattr(importlib.import_module(module), variant or "solve")
    link = Link()
    for job in link.jobs():
        try:
            answer = solve(job, link)
        except Exception as error:  # whatever a framework raises is its result
            link.end(failed=f"{type(error).__name__}: {error}"[:500])
        else:
            link.end(answer=answer)


if __name__ == "__main__":
    main()
