"""What other ways of running code cost; run by benchmarks/sandbox.py with the Python that has them installed.

    python benchmarks/peers.py ipykernel|smolagents

Prints medians as JSON: seconds of a round trip of `x = 1`, and of each loop.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

LOOPS = {
    "1e6 additions": "s = 0\nfor i in range(1000000):\n    s += i",
    "1e6 additions in a function": "def f(s=0):\n    for i in range(1000000):\n        s += i\n    return s\nf()",
    "fib(20)": "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(20)",
}
TRIPS = 300


def ipykernel() -> dict[str, float]:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        return measured(lambda code: client.execute_interactive(code, store_history=False, timeout=60))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def smolagents() -> dict[str, float]:
    from smolagents.local_python_executor import LocalPythonExecutor

    executor = LocalPythonExecutor([], timeout_seconds=None)
    executor.send_tools({})
    return measured(executor, loops=LOOPS)


def measured(execute: Callable[[str], object], loops: dict[str, str] | None = None) -> dict[str, float]:
    execute("x = 1")
    found = {"round trip": statistics.median(timed(execute, "x = 1") for _ in range(TRIPS))}
    for name, code in (loops or {}).items():
        found[name] = min(timed(execute, code) for _ in range(2))
    return found


def timed(execute: Callable[[str], object], code: str) -> float:
    begun = time.perf_counter()
    execute(code)
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(json.dumps({"ipykernel": ipykernel, "smolagents": smolagents}[sys.argv[1]]()))
