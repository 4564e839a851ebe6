"""Runs the clients in turn, each cell in a process of its own beside a fresh server."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.framework import environments
from benchmarks.framework.measure import Cell
from benchmarks.framework.roster import Client

ROOT = Path(__file__).parent.parent.parent
SERVER_CORE, CLIENT_CORE = 0, 1


@dataclass
class Measured:
    """The cells of each client at each concurrency, one for each pass."""

    passes: list[dict[tuple[str, int], Cell]] = field(default_factory=list)

    def cells(self, client: Client, concurrency: int) -> list[Cell]:
        return [one[client.name, concurrency] for one in self.passes]

    def ratios(self, value: str, ours: Client, theirs: Client, concurrency: int) -> list[float]:
        """One client's value over another's, pass by pass."""
        pairs = zip(self.cells(ours, concurrency), self.cells(theirs, concurrency), strict=True)
        return [getattr(one, value) / getattr(other, value) for one, other in pairs]


def measure(clients: Sequence[Client], runs: dict[int, int], passes: int, lock: Path | None) -> Iterator[Measured]:
    """Every client at every concurrency, `passes` times; `runs` says how often each plays the script.

    Yields what has been measured so far after every pass.
    """
    interpreters = {client.name: environments.python(client.environment) for client in clients}
    measured = Measured()
    for number in range(passes):
        cells: dict[tuple[str, int], Cell] = {}
        for concurrency, count in runs.items():
            for client in clients:
                print(f"pass {number + 1} of {passes}: {client.name}, {concurrency} runs at a time", file=sys.stderr)
                with _alone(lock), server() as url:
                    cells[client.name, concurrency] = _cell(interpreters[client.name], client, url, concurrency, count)
        measured.passes.append(cells)
        yield measured


def _cell(interpreter: Path, client: Client, url: str, concurrency: int, runs: int) -> Cell:
    wanted = [client.module, url, str(concurrency), str(runs), str(CLIENT_CORE)]
    command = [str(interpreter), "-m", "benchmarks.framework.measure", *wanted]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{client.name} failed with {concurrency} runs at a time:\n{done.stderr[-4000:]}")
    return Cell(**json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The fake model server in a process of its own; gives its address."""
    command = [sys.executable, "-m", "benchmarks.framework.server", str(SERVER_CORE)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        # leaving closes its input, which ends it


@contextlib.contextmanager
def _alone(lock: Path | None) -> Iterator[None]:
    """Hold a lock that other measurements on this machine take too."""
    if lock is None:
        yield
        return
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
