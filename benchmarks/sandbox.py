"""What the sandbox costs, beside a plain pipe, a bare interpreter, and peers where they are installed.

    python benchmarks/sandbox.py [--ipykernel PYTHON] [--smolagents PYTHON] [--live N]

PYTHON is an interpreter that has the peer installed. All is measured in turn within one run; only the ratios travel
between machines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from deepagent.sandbox import Kernel, Pool, SandboxConfig, program
from deepagent.sandbox.builders import builder
from deepagent.sandbox.process import WorkerProcess
from deepagent.tools import ToolSpec

sys.path.insert(0, str(Path(__file__).parent))
from peers import LOOPS

ROUNDS = 6
CELLS = 500
STARTS = 20

SETUP = {
    "kind": "setup",
    "chars": 10_000,
    "memory": 2**30,
    "file_size": 2**28,
    "processes": None,
    "open_files": None,
    "packages": [],
    "die_with_parent": False,
}
BARE = """
import json, sys
space = {}
for line in sys.stdin.buffer:
    exec(compile(json.loads(line)["code"], "<cell>", "exec"), space)
    sys.stdout.buffer.write(b'{"kind": "done"}\\n')
    sys.stdout.buffer.flush()
"""


class PlainPipe:
    """A Python program as a bare child process, spoken to by blocking reads and writes."""

    def __init__(self, command: list[str], first: bytes = b"") -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin is not None
        self.process.stdin.write(first)

    def ask(self, frame: dict[str, object]) -> object:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(frame).encode() + b"\n")
        return json.loads(self.process.stdout.readline())

    def execute(self, code: str) -> object:
        return self.ask({"kind": "execute", "id": 1, "code": code, "tools": []})

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Table:
    """Rows of Markdown, each with a ratio."""

    def __init__(self) -> None:
        print("| what | here | beside it | ratio |")
        print("|---|---|---|---|")

    def row(self, what: str, here: float, beside: str, other: float) -> None:
        print(f"| {what} | {_time(here)} | {beside}: {_time(other)} | {here / other:.2g} |", flush=True)


async def main(options: argparse.Namespace) -> None:
    print(f"{_machine()}; Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}")
    table = Table()
    trip = await round_trips(table)
    await starts(table)
    await loops(table, options)
    if options.ipykernel:
        table.row("round trip of `x = 1`", trip, "ipykernel", peer(options.ipykernel, "ipykernel")["round trip"])
    await many(options.live)


async def round_trips(table: Table) -> float:
    async def nothing(name: str, arguments: dict[str, object]) -> None:
        return None

    same = PlainPipe(program.command(), program.code())
    same.ask(SETUP)
    bare = PlainPipe([program.interpreter(), "-I", "-S", "-c", BARE])
    ours, calls, plain, least = [], [], [], []
    async with Kernel(call_tool=nothing) as kernel:
        await kernel.bind([ToolSpec(name="tool")])
        await kernel.execute("tool()")
        for _ in range(ROUNDS):
            ours += [await timed(kernel, "x = 1") for _ in range(CELLS)]
            plain += [timed_sync(same, "x = 1") for _ in range(CELLS)]
            least += [timed_sync(bare, "x = 1") for _ in range(CELLS)]
            calls += [await timed(kernel, "tool()") for _ in range(CELLS)]
    same.close()
    bare.close()
    trip = statistics.median(ours)
    table.row("round trip of `x = 1`", trip, "same program, plain pipe", statistics.median(plain))
    table.row("round trip of `x = 1`", trip, "ten lines around `exec`, plain pipe", statistics.median(least))
    table.row("with one tool call", statistics.median(calls), "without", trip)
    return trip


async def starts(table: Table) -> None:
    config = SandboxConfig(warm=1)
    cold, bare, pooled, confined = [], [], [], builder(config)
    async with Pool(config) as pool:
        for _ in range(STARTS):
            await asyncio.wait(pool._ahead)  # so that nothing else starts now
            bare.append(timed_run([program.interpreter(), "-I", "-S", "-c", "pass"]))
            begun = time.perf_counter()
            worker = await WorkerProcess.start(config, confined)
            cold.append(time.perf_counter() - begun)
            await worker.stop()
            async with Kernel(config, pool=pool) as kernel:
                pooled.append(await timed(kernel, "x = 1"))
    python = statistics.median(bare)
    table.row("start from the pool, and `x = 1`", statistics.median(pooled), "bare `python -I -S`", python)
    table.row("cold start", statistics.median(cold), "bare `python -I -S`", python)


async def loops(table: Table, options: argparse.Namespace) -> None:
    theirs = peer(options.smolagents, "smolagents") if options.smolagents else {}
    here = PlainPipe([program.interpreter(), "-I", "-S", "-c", BARE])
    async with Kernel() as kernel:
        for name, code in LOOPS.items():
            ours = min([await timed(kernel, code) for _ in range(5)])
            table.row(name, ours, "CPython, plain pipe", min(timed_sync(here, code) for _ in range(5)))
            if theirs:
                table.row(name, ours, "smolagents' local interpreter", theirs[name])
    here.close()


async def many(count: int) -> None:
    """How much memory idle interpreters take, and how long so many need to start."""
    config = SandboxConfig(warm=0)
    async with Pool(config) as pool:
        kernels = [Kernel(config, pool=pool) for _ in range(count)]
        begun = time.perf_counter()
        await asyncio.gather(*(kernel.execute("x = 1") for kernel in kernels))
        seconds = time.perf_counter() - begun
        megabytes = sum(map(pss, below(os.getpid()))) / count / 1024
        print(f"\n{count} interpreters live at one time, started in {seconds:.1f} s; {megabytes:.1f} MB PSS each")
        await asyncio.gather(*(kernel.__aexit__(None, None, None) for kernel in kernels))


def below(pid: int) -> list[int]:
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [one for child in children for one in below(child)]


def pss(pid: int) -> int:
    """Kilobytes, shared pages counted by halves."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def peer(python: str, name: str) -> dict[str, float]:
    found = subprocess.run([python, Path(__file__).with_name("peers.py"), name], capture_output=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])


async def timed(kernel: Kernel, code: str) -> float:
    begun = time.perf_counter()
    await kernel.execute(code)
    return time.perf_counter() - begun


def timed_sync(pipe: PlainPipe, code: str) -> float:
    begun = time.perf_counter()
    pipe.execute(code)
    return time.perf_counter() - begun


def timed_run(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begun


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms" if seconds < 0.01 else f"{seconds * 1e3:.0f} ms"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}, Linux {platform.release().split('-')[0]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipykernel")
    parser.add_argument("--smolagents")
    parser.add_argument("--live", type=int, default=256)
    asyncio.run(main(parser.parse_args()))
