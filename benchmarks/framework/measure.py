"""Measures one client at one concurrency, in this process; prints the cell as one line of JSON.

Run by the benchmark in the client's own environment:
    python -m benchmarks.framework.measure CLIENT URL CONCURRENCY RUNS CORE
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks.framework.script import ANSWER, STEPS

Play = Callable[[int], Awaitable[str]]
"""Plays the script once, for the worker of that number; returns the answer."""
Open = Callable[[str, int], AbstractAsyncContextManager[Play]]
"""Opens a client for a URL and a number of workers."""


@dataclass(frozen=True)
class Cell:
    """What one client cost at one concurrency.

    Attributes:
        cpu_ms: user and system time of the client's process per step.
        steps_per_second: over all runs.
        overhead_ms: wall-clock time less the server's handler time, per step.
        server_ms: the server's handler time per step.
        request_bytes: sent per run.
        connections: opened per run; less than one where they are kept.
        rss_import: peak resident memory in MiB before the first run.
        rss_peak: peak resident memory in MiB at the end.
    """

    cpu_ms: float
    steps_per_second: float
    overhead_ms: float
    server_ms: float
    request_bytes: float
    connections: float
    rss_import: float
    rss_peak: float


async def measure(client: str, url: str, concurrency: int, runs: int) -> Cell:
    module, _, variant = client.partition(":")
    loaded = importlib.import_module(f"benchmarks.framework.clients.{module}")
    opened: Open = getattr(loaded, variant or "opened")
    async with opened(url, concurrency) as play:
        rss_import = peak_rss()
        check(await play(0))
        before = stats(url)
        cpu, began = time.process_time(), time.perf_counter()
        await play_all(play, concurrency, runs)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        after = stats(url)
        rss = peak_rss()
    steps = runs * STEPS
    asked = after["requests"] - before["requests"]
    if asked != steps:
        raise SystemExit(f"{client} made {asked:g} requests where the script has {steps}")
    served = after["seconds"] - before["seconds"]
    return Cell(
        cpu_ms=cpu / steps * 1e3,
        steps_per_second=steps / seconds,
        overhead_ms=(seconds - served) / steps * 1e3,
        server_ms=served / steps * 1e3,
        request_bytes=(after["bytes"] - before["bytes"]) / runs,
        connections=(after["connections"] - before["connections"] - 1) / runs,  # one asked for the counts
        rss_import=rss_import,
        rss_peak=rss,
    )


async def play_all(play: Play, concurrency: int, runs: int) -> None:
    left = iter(range(runs))

    async def work(worker: int) -> None:
        for _ in left:
            check(await play(worker))

    async with asyncio.TaskGroup() as group:
        for worker in range(concurrency):
            group.create_task(work(worker))


def check(answer: str) -> None:
    if answer != ANSWER:
        raise SystemExit(f"the answer is {answer!r} where the script ends with {ANSWER!r}")


def stats(url: str) -> dict[str, float]:
    with urlopen(url.removesuffix("/v1") + "/stats") as answer:
        found: dict[str, float] = json.load(answer)
        return found


def peak_rss() -> float:
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client")
    parser.add_argument("url")
    parser.add_argument("concurrency", type=int)
    parser.add_argument("runs", type=int)
    parser.add_argument("core", type=int)
    parser.add_argument("--profile", metavar="FILE", help="write a cProfile of it, which slows it down")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    work = measure(options.client, options.url, options.concurrency, options.runs)
    if options.profile:
        import cProfile

        profile = cProfile.Profile()
        cell = profile.runcall(asyncio.run, work)
        profile.dump_stats(options.profile)
    else:
        cell = asyncio.run(work)
    print(json.dumps(asdict(cell)))


if __name__ == "__main__":
    main()
