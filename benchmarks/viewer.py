"""How fast the pages of `deepagent view` are made: the list over many runs, and a run of many steps.

    python -m benchmarks.viewer [--runs 10000] [--steps 2000]

A real server on loopback is asked by a real client; what a browser needs to paint is measured by `make test-browser`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepagent.runs.store import RunStore
from deepagent.viewer.server import Server
from tests.viewer.runs import begin, end, write_run

WORDS = ["count", "sort", "find", "compare", "orders", "customers", "months", "lamps", "chairs", "cities"]


def main() -> None:
    """Make a store, serve it, and print how long each page took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=2_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.sqlite"
        with RunStore(path) as store:
            long = write_run(store, asked.steps, huge_at=5)
            for number in range(asked.runs - 1):
                words = " ".join(WORDS[(number + skip) % len(WORDS)] for skip in range(4))
                log = begin(
                    store, f"{words}, number {number}", model=f"model-{number % 5}", benchmark=f"toolhop/{number}"
                )
                end(log, 7, status="failed" if number % 9 == 0 else "answered", answer=f"answer {number}")
        server = Server(path)
        threading.Thread(target=server.run, daemon=True).start()
        print(f"{asked.runs} runs, one of {asked.steps} steps with a result of 10 MB; median (slowest) of 20 requests")
        for name, address in [
            ("list", ""),
            ("list, last page", f"?page={asked.runs // 50}"),
            ("list, one status", "?status=failed"),
            ("list, text", "?text=number+77"),
            ("list, text that nothing holds", "?text=nothing+like+it"),
        ]:
            spent = sorted(timed(server.url + address) for _ in range(20))
            print(f"{name:<32} {statistics.median(spent) * 1000:7.1f} ms  ({spent[-1] * 1000:.1f})")
        with ThreadPoolExecutor(1) as other:
            first = other.submit(timed, f"{server.url}runs/{long}")
            beside = []
            while not first.done():
                beside.append(timed(server.url))
        print(f"{'run, read for the first time':<32} {first.result() * 1000:7.1f} ms")
        print(f"{'list, meanwhile':<32} {statistics.median(beside) * 1000:7.1f} ms  ({max(beside) * 1000:.1f})")
        spent = sorted(timed(f"{server.url}runs/{long}") for _ in range(20))
        print(f"{'run, again':<32} {statistics.median(spent) * 1000:7.1f} ms  ({spent[-1] * 1000:.1f})")


def timed(url: str) -> float:
    """Seconds until the whole page is there."""
    began = time.perf_counter()
    with urllib.request.urlopen(url) as page:
        page.read()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
