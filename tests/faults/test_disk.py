"""A disk that is full, fails, or is cut: a clear error, and a run that goes on from what was written."""

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent import Agent, UsageError
from deepagent.errors import StoreError
from deepagent.runs.events import Event, Started
from deepagent.runs.store import RunStore
from tests.faults.kills import essence, scripted
from tests.faults.test_kills import TOOLS
from tests.support import HASHED, answer, assert_promises, call

SCRIPT = [call("reading", day=1), call("remarks", day=2), call("nonsense"), call("reading", day=3), answer("14")]
MAKE = scripted(SCRIPT, context=65536)
LONG = "Do it. " + random.Random(7).randbytes(20_000).hex()
"""A task that does not shrink when it is compressed."""
CONFIG = HASHED.model_copy(update={"execute": False})


async def whole_run(folder: Path) -> list[Event]:
    """The same run on a disk that works."""
    with RunStore(folder / "whole.sqlite") as store:
        run = await Agent(MAKE(0), TOOLS, config=CONFIG, store=store).run("Do it.")
        return [one.event for one in store.events(run.id)]


async def goes_on(path: Path, wanted: list[Event]) -> None:
    """The disk works again: the run goes on, or begins anew where not even its beginning was written."""
    with RunStore(path) as store:
        begun = store.runs()
        if begun and begun[0].state != "answered":
            done = sum(one.event.kind == "replied" for one in store.events(begun[0].id))
            await Agent(MAKE(done), TOOLS, config=CONFIG, store=store).resume(begun[0].id)
        for run in begun:
            events = [one.event for one in store.events(run.id)]
            assert_promises(events)
            assert essence(events) == essence(wanted)


async def test_a_full_disk_stops_the_run_and_the_run_goes_on_when_there_is_room(tmp_path, counted):
    told: list[str] = []
    for pages in range(8, 80, 3):
        path = tmp_path / f"{pages}.sqlite"
        with RunStore(path) as store:
            store._database.connection.execute(f"PRAGMA max_page_count={pages}")
            try:
                await Agent(MAKE(0), TOOLS, config=CONFIG, store=store).run(LONG)
            except StoreError as error:
                told.append(str(error))
        with RunStore(path) as store:
            for run in store.runs():
                if run.state != "answered":
                    done = sum(one.event.kind == "replied" for one in store.events(run.id))
                    again = await Agent(MAKE(done), TOOLS, config=CONFIG, store=store).resume(run.id)
                    assert again.answer == "14"
    counted(len(told), "disks that were full at different points")
    assert all("full" in one and "free space" in one for one in told)


def test_a_file_that_may_not_grow_is_one_clear_error(tmp_path):
    code = (
        "import asyncio, resource, signal, sys; from pathlib import Path\n"
        "from deepagent import Agent; from deepagent.errors import StoreError\n"
        "from tests.faults.test_kills import TOOLS; from tests.faults.test_disk import CONFIG, LONG, MAKE\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))\n"
        "try: asyncio.run(Agent(MAKE(0), TOOLS, config=CONFIG, store=Path(sys.argv[1])).run(LONG))\n"
        "except StoreError as error: print(error)"
    )
    path = tmp_path / "runs.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    assert "check the disk" in done.stdout
    with RunStore(path) as store:
        assert len(store.runs()) <= 1


@dataclass(frozen=True, repr=False)  # half a megabyte, which hypothesis would print
class Logged:
    """A store as a killed process leaves it: the file, its write-ahead log, and the file when all is in it."""

    main: bytes
    wal: bytes
    whole: bytes
    events: list[Event]


class Failing:
    """A connection whose n-th statement that writes fails as a broken disk does."""

    def __init__(self, connection: sqlite3.Connection, number: int) -> None:
        self._connection = connection
        self._left = number
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if not sql.lstrip().startswith("SELECT"):
            self._left -= 1
        if self._left <= 0:
            self.failed = True
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(sql, *values)


async def test_a_disk_that_fails_at_any_write_stops_the_run_and_the_run_goes_on(tmp_path, counted):
    wanted, number, failed = await whole_run(tmp_path), 0, True
    while failed:
        number += 1
        path = tmp_path / f"{number}.sqlite"
        store = RunStore(path)
        real = store._database.connection
        store._database.connection = broken = Failing(real, number)  # type: ignore[assignment]
        with contextlib.suppress(StoreError):
            await Agent(MAKE(0), TOOLS, config=CONFIG, store=store).run("Do it.")
        failed = broken.failed
        real.close()
        await goes_on(path, wanted)
    counted(number - 1, "I/O errors, one at each statement that writes")


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> Logged:
    folder = tmp_path_factory.mktemp("logged")
    wanted = asyncio.run(whole_run(folder))
    with RunStore(folder / "runs.sqlite") as store:
        asyncio.run(Agent(MAKE(0), TOOLS, config=CONFIG, store=store).run("Do it."))
        main, wal = (folder / "runs.sqlite").read_bytes(), (folder / "runs.sqlite-wal").read_bytes()
    assert len(wal) > 20_000
    return Logged(main, wal, (folder / "runs.sqlite").read_bytes(), wanted)


def laid(path: Path, main: bytes, wal: bytes | None = None) -> Path:
    """A store of these bytes, in the place of the one before."""
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
    path.write_bytes(main)
    if wal is not None:
        Path(f"{path}-wal").write_bytes(wal)
    return path


def prefix_or_error(path: Path, wanted: list[Event]) -> int:
    """The events that are left, which are the first of those that were; or -1 for a clear error."""
    try:
        with RunStore(path) as store:
            runs = store.runs()
            events = [one.event for run in runs for one in store.events(run.id)]
    except (StoreError, UsageError):
        return -1
    assert all(isinstance(event, Started) for event in events[:1])
    assert essence(events) == essence(wanted)[: len(essence(events))]
    return len(events)


CUTS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@CUTS
@given(share=st.floats(0, 1))
async def test_a_log_that_is_cut_anywhere_holds_the_events_before_the_cut(logged, tmp_path, share):
    path = laid(tmp_path / "cut.sqlite", logged.main, logged.wal[: int(share * len(logged.wal))])
    left = prefix_or_error(path, logged.events)
    assert left >= 0, "a torn end of the write-ahead log is nothing to complain about"
    if left > 0:
        await goes_on(path, logged.events)


@CUTS
@given(share=st.floats(0, 1, exclude_max=True), in_wal=st.booleans(), flip=st.integers(1, 255))
def test_a_byte_that_is_changed_anywhere_is_told_or_does_no_harm(logged, tmp_path, share, in_wal, flip):
    data = bytearray(logged.wal if in_wal else logged.whole)
    data[int(share * len(data))] ^= flip
    path = tmp_path / "flip.sqlite"
    prefix_or_error(laid(path, logged.main, bytes(data)) if in_wal else laid(path, bytes(data)), logged.events)


def test_a_damaged_line_of_the_list_is_told(logged, tmp_path):
    damaged = logged.whole.replace(b'"status":"answered"', b'"status":"answerdd"')
    assert damaged != logged.whole
    assert prefix_or_error(laid(tmp_path / "list.sqlite", damaged), logged.events) == -1


@CUTS
@given(share=st.floats(0, 1))
def test_a_file_that_is_cut_anywhere_is_told_or_does_no_harm(logged, tmp_path, share):
    prefix_or_error(laid(tmp_path / "short.sqlite", logged.whole[: int(share * len(logged.whole))]), logged.events)
