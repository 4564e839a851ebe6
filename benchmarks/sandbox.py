"""How long a cell takes in the sandbox, against the same program behind a plain pipe without walls or asyncio.

Run: python benchmarks/sandbox.py. Both are measured in turn within one run; only the ratios travel between machines.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import Sequence

from deepagent.sandbox import Kernel, SandboxConfig, confinement
from deepagent.sandbox.process import worker_source
from deepagent.tools import ToolSpec

ROUNDS = 5
CELLS = 500
STARTS = 5

SETUP = {"chars": 10_000, "memory": 2**30, "file_size": 2**28, "processes": None, "die_with_parent": False}


class PlainPipe:
    """The worker program as a bare child process, spoken to by blocking reads and writes."""

    def __init__(self) -> None:
        command = [confinement.interpreter(), "-I", "-S", "-c", worker_source()]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.ask(SETUP)

    def ask(self, frame: dict[str, object]) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(frame).encode() + b"\n")
        return self.process.stdout.readline()

    def execute(self, code: str) -> None:
        self.ask({"kind": "execute", "id": 1, "code": code, "tools": []})

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


async def main() -> None:
    async def nothing(name: str, arguments: dict[str, object]) -> None:
        return None

    plain = PlainPipe()
    async with Kernel(SandboxConfig(), call_tool=nothing) as kernel:
        await kernel.bind([ToolSpec(name="tool")])
        await kernel.execute("tool()")
        cells, calls, bare = [], [], []
        for _ in range(ROUNDS):
            bare += [timed(plain.execute, "x = 1") for _ in range(CELLS)]
            cells += [await timed_async(kernel, "x = 1") for _ in range(CELLS)]
            calls += [await timed_async(kernel, "tool()") for _ in range(CELLS)]
    plain.close()
    report("round trip of x = 1", cells, bare)
    report("round trip with one tool call", calls, bare)

    starts, bare = [], []
    for _ in range(STARTS):
        begun = time.perf_counter()
        PlainPipe().close()
        bare.append(time.perf_counter() - begun)
        async with Kernel() as kernel:
            starts.append(await timed_async(kernel, "x = 1"))
    report("start-up and first cell", starts, bare)


def timed(execute: object, code: str) -> float:
    begun = time.perf_counter()
    execute(code)  # type: ignore[operator]
    return time.perf_counter() - begun


async def timed_async(kernel: Kernel, code: str) -> float:
    begun = time.perf_counter()
    await kernel.execute(code)
    return time.perf_counter() - begun


def report(what: str, measured: Sequence[float], bare: Sequence[float]) -> None:
    ours, theirs = statistics.median(measured) * 1e3, statistics.median(bare) * 1e3
    print(f"{what}: {ours:.3f} ms, plain pipe {theirs:.3f} ms, ratio {ours / theirs:.1f}")


if __name__ == "__main__":
    asyncio.run(main())
