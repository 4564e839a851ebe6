"""The event log: all or nothing, in order, readable after a killed process."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from deepagent.actions import Observation, Search
from deepagent.errors import StoreError, UsageError
from deepagent.models.base import Usage
from deepagent.runs.events import Ended, Intended, Observed, Started
from deepagent.runs.store import RunStore
from deepagent.transcript import Segment


def started(run: str = "r", task: str = "t") -> Started:
    return Started(run=run, task=task, model="m", context=100, settings={})


def ended(answer: str | None = "42") -> Ended:
    return Ended(status="answered", answer=answer, reason="", usage=Usage(), steps=1, folds=0, seconds=1)


def open_paths() -> set[str]:
    """The files that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found.add(os.readlink(link))
    return found


@pytest.fixture
def store(tmp_path):
    with RunStore(tmp_path / "runs.sqlite") as opened:
        yield opened


def test_events_come_back_as_they_were_written(store):
    log = store.new_run()
    segment = Segment(kind="observation", text="täxt\n", token_ids=(1, 2))
    events = [
        started(log.id),
        Intended(step=1, thought="why", action=Search(query="q")),
        Observed(step=1, observation=Observation(text="täxt"), segment=segment, seconds=0.5),
        ended(),
    ]
    for event in events:
        log.append(event)
    recorded = store.events(log.id)
    assert [r.event for r in recorded] == events
    assert [r.sequence for r in recorded] == [1, 2, 3, 4]


def test_several_events_are_written_together_or_not_at_all(store):
    log = store.new_run()
    log.append(started(log.id))
    with pytest.raises(StoreError):
        store.append(log.id, 1, (ended(), ended()))  # sequence 1 is taken
    assert len(store.events(log.id)) == 1


def test_listeners_hear_an_event_only_after_it_is_on_disk(store, tmp_path):
    log = store.new_run()
    seen = []
    reader = sqlite3.connect(tmp_path / "runs.sqlite")
    log.listeners.append(lambda event: seen.append(reader.execute("SELECT count(*) FROM events").fetchone()[0]))
    log.append(started(log.id))
    log.append(ended())
    reader.close()
    assert seen == [1, 2]


def test_runs_are_listed_newest_first_with_how_they_ended(store):
    first, second = store.new_run(), store.new_run()
    first.append(started(first.id, "one"))
    first.append(ended())
    second.append(started(second.id, "two"))
    assert [(s.started.task, s.ended.answer if s.ended else None) for s in store.runs()] == [
        ("two", None),
        ("one", "42"),
    ]


def test_a_run_is_found_by_beginning_end_or_last(store):
    log = store.new_run()
    log.append(started(log.id))
    assert store.resolve(log.id[:15]) == store.resolve(log.id[-6:]) == store.resolve("last") == log.id
    with pytest.raises(UsageError, match="no run matches"):
        store.resolve("nothing")


def test_artifacts_are_kept_per_run(store):
    log, other = store.new_run(), store.new_run()
    log.keep("r1", "x" * 100_000)
    assert log.artifact("r1") == "x" * 100_000
    assert other.artifact("r1") is None


def test_what_was_appended_survives_sigkill(tmp_path):
    path = tmp_path / "runs.sqlite"
    code = (
        "import sys, os, signal; from pathlib import Path\n"
        "from deepagent.runs.store import RunStore; from deepagent.runs.events import Started\n"
        f"log = RunStore(Path({str(path)!r})).new_run()\n"
        "log.append(Started(run=log.id, task='survives', model='m', context=1, settings={}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    with RunStore(path) as store:
        assert store.runs()[0].started.task == "survives"


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "runs.sqlite"
    RunStore(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(StoreError, match="upgrade deepagent") as caught:
        RunStore(path)
    assert str(path) not in open_paths(), f"still open after: {caught.value}"


def test_a_store_that_is_no_database_is_one_clear_error(tmp_path):
    path = tmp_path / "runs.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(StoreError, match="check the disk"):
        RunStore(path)


def test_a_place_where_no_file_can_be_made_is_one_clear_error(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StoreError):
        RunStore(blocker / "runs.sqlite")
