"""Many runs, many faults: every run is accounted for exactly once, and nothing is left of any."""

import asyncio
import gc
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from deepagent.runs.store import RunStore
from tests.faults.soak import ENDING, FAULTS, Case
from tests.sandbox.processes import descendants, open_files, until
from tests.support import assert_promises

SEED = 7
AT_ONCE = 8
MEGABYTES = 24
"""What the process may grow by, from a quarter of the runs on."""


def resident() -> float:
    """Memory of this process in MB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def left() -> dict[str, object]:
    """What must be the same afterwards."""
    return {
        "processes": descendants(os.getpid()),
        "open files": open_files(),
        "tasks": len(asyncio.all_tasks()),
        "threads": {one.name for one in threading.enumerate() if not one.name.startswith("asyncio_")},  # pooled
    }


async def soak(path: Path, runs: int, steps: int) -> tuple[list[Case], list[float]]:
    """Work on so many runs to their answers, however often they are broken off; the cases, and memory as they end."""
    cases, at_once, memory = [Case(n, steps, SEED) for n in range(runs)], asyncio.Semaphore(AT_ONCE), []

    async def live(case: Case) -> None:
        async with at_once:
            attempts = 1
            while not await case.work(path):
                attempts += 1
                assert attempts <= len(case.drawn) + 1, "it is broken off without a fault"
        memory.append(resident() if len(memory) % 16 == 0 else memory[-1])

    await asyncio.gather(*map(live, cases))
    return cases, [*memory, resident()]


async def check(path: Path, runs: int, steps: int, counted) -> list[float]:
    await soak(path.with_name("first.sqlite"), 2, steps)  # what is imported and opened once is there now
    gc.collect()
    before = left()
    cases, memory = await soak(path, runs, steps)
    await until(lambda: left() == before)
    with RunStore(path) as store:
        listed = store.runs(limit=runs + 1)
        assert Counter(run.id for run in listed) == Counter(case.id for case in cases)
        assert {run.state for run in listed} == {"answered"}
        for case in cases:
            assert store.summary(case.id).ended.answer == f"run {case.number}"  # type: ignore[union-attr]
            events = [one.event for one in store.events(case.id)]
            assert_promises(events)
            case.account(events)
    counted(runs, f"runs of {steps} steps, each accounted for once")
    happened = Counter(fault for case in cases for fault in case.injected.values())
    assert set(happened) == set(FAULTS)
    counted(happened.total(), f"faults in them, {sum(happened[one] for one in ENDING)} of which ended the work:")
    for fault, number in happened.items():
        counted(number, f"  {fault}")
    counted(round(memory[len(memory) // 4]), f"MB of memory after a quarter of them, {memory[-1]:.0f} at the end")
    return memory


async def test_some_runs_with_random_faults(tmp_path, walls, counted):
    await check(tmp_path / "runs.sqlite", 8, 60, counted)


@pytest.mark.heavy
@pytest.mark.timeout(3000)
async def test_256_runs_of_100_steps_with_random_faults(tmp_path, walls, counted):
    memory = await check(tmp_path / "runs.sqlite", 256, 100, counted)
    assert memory[-1] - memory[len(memory) // 4] < MEGABYTES
