"""The event log: all or nothing, in order, readable after a killed process."""

import gzip
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
from deepagent.runs import owners
from deepagent.runs.events import ApprovalAsked, ApprovalGiven, Ended, Intended, Observed, Resumed, Started
from deepagent.runs.log import RunLog
from deepagent.runs.store import RunStore
from deepagent.runs.summary import RunFilter
from deepagent.transcript import Segment


def started(run: str = "r", task: str = "t") -> Started:
    return Started(run=run, task=task, model="m", context=100, settings={})


def ended(answer: str | None = "42") -> Ended:
    return Ended(status="answered", answer=answer, reason="", usage=Usage(), steps=1, folds=0, seconds=1)


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


def test_every_run_is_given_once_whatever_begins_meanwhile(store, monkeypatch):
    monkeypatch.setattr("deepagent.runs.store._PAGE", 2)
    ids = []
    for _ in range(5):
        log = store.new_run()
        log.append(started(log.id))
        log.append(ended())
        ids.append(log.id)
    found = []
    for run in store.every(RunFilter(state="answered")):
        found.append(run.id)
        later = store.new_run()
        later.append(started(later.id))
        later.append(ended())
    assert found == ids[::-1]


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
    log.listeners.append(lambda event: seen.append(reader.execute("SELECT count(*) FROM records").fetchone()[0]))
    log.append(started(log.id))
    log.append(ended())
    reader.close()
    assert seen == [1, 2]


def test_runs_are_listed_newest_first_with_how_they_ended(store):
    first, second = store.new_run(), store.new_run()
    first.append(started(first.id, "one"))
    first.append(ended())
    second.append(started(second.id, "two"))
    assert [(s.task, s.ended.answer if s.ended else None) for s in store.runs()] == [
        ("two", None),
        ("one", "42"),
    ]


def test_a_run_is_found_by_beginning_end_or_last(store):
    log = store.new_run()
    log.append(started(log.id))
    assert store.resolve(log.id[:15]) == store.resolve(log.id[-8:]) == store.resolve("last") == log.id
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
        assert store.runs()[0].task == "survives"


def begun(store: RunStore, task: str = "t", model: str = "m", benchmark: str | None = None) -> RunLog:
    """The log of a run that is at work in this process."""
    log = store.new_run()
    log.append(Started(run=log.id, task=task, model=model, context=1, settings={}, benchmark=benchmark))
    return log


def test_events_after_a_sequence_are_read_alone_whatever_was_written_together(store):
    before, log, later = begun(store), begun(store), begun(store)
    for step in range(1, 6):
        log.append(*(Intended(step=step, thought="", action=Search(query=f"{n}")) for n in range(step)))
    whole = store.events(log.id)
    assert [one.sequence for one in whole] == list(range(1, 17))
    for after in range(20):
        assert store.events(log.id, after) == whole[after:]
    assert len(store.events(before.id)) == len(store.events(later.id)) == 1


def test_a_run_belongs_to_one_process_until_it_is_released(store):
    log = begun(store)
    with pytest.raises(UsageError, match=f"at work in process {os.getpid()}"):
        store.open_run(log.id)
    log.release()
    again = store.open_run(log.id)
    assert again.events == log.events
    with pytest.raises(UsageError, match="at work"):
        store.open_run(log.id)


def test_a_killed_process_owns_nothing_any_more(tmp_path):
    path = tmp_path / "runs.sqlite"
    code = (
        "import sys, time; from pathlib import Path\n"
        "from deepagent.runs.store import RunStore; from deepagent.runs.events import Started\n"
        f"log = RunStore(Path({str(path)!r})).new_run()\n"
        "log.append(Started(run=log.id, task='t', model='m', context=1, settings={}))\n"
        "print(log.id, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run = process.stdout.readline().strip()
    with RunStore(path) as store:
        assert store.summary(run).state == "running"
        with pytest.raises(UsageError, match=f"process {process.pid}"):
            store.open_run(run)
        process.kill()
        process.communicate()
        assert store.summary(run).state == "dead"
        store.open_run(run).release()


def test_a_process_that_cannot_be_seen_lives_by_its_heartbeat(store, monkeypatch):
    log = begun(store)
    foreign = log.owner.model_copy(update={"space": "pid:[1]"})
    now = owners.heartbeat()
    assert owners.alive(foreign, now - 1)
    assert not owners.alive(foreign, now - 1000)
    assert not owners.alive(log.owner.model_copy(update={"boot": "another"}), now)
    assert not owners.alive(log.owner.model_copy(update={"born": 1}), now), "its id belongs to another process now"


def test_a_process_that_was_taken_for_dead_cannot_write_any_more(store):
    log = begun(store)
    owners.give_up(log.owner)
    taken = store.open_run(log.id)
    taken.append(Resumed(model="m", context=1, settings={}))
    with pytest.raises(StoreError, match="another process has gone on"):
        log.append(ended())
    assert [type(one.event) for one in store.events(log.id)] == [Started, Resumed]


def test_a_call_that_waits_is_decided_by_another_process_and_only_once(store, tmp_path):
    log = begun(store)
    log.append(ApprovalAsked(step=3, tool="order", arguments={"article": "lamp"}))
    assert store.summary(log.id).state == "waiting"
    with RunStore(tmp_path / "runs.sqlite") as page:
        (asked,) = page.decisions.waiting(log.id)
        assert asked.tool == "order"
        assert log.decision(3, 0) is None
        page.decisions.decide(log.id, asked.step, asked.call, approved=True, by="page")
        with pytest.raises(UsageError, match="decided already"):
            page.decisions.decide(log.id, 3, 0, approved=False, by="page")
    given = log.decision(3, 0)
    assert given == ApprovalGiven(step=3, approved=True, by="page")
    log.append(given)
    assert store.summary(log.id).state == "running"
    assert store.decisions.waiting(log.id) == []


def test_runs_are_filtered_and_paged(store):
    logs = [begun(store, f"task {n} 100%", "ab"[n % 2], f"hop/{n}" if n < 3 else None) for n in range(10)]
    for log in logs[:4]:
        log.append(ended("lamp"))
    owners.give_up(logs[9].owner)

    def found(**wanted: object) -> list[str]:
        only = RunFilter(**wanted)
        assert store.count(only) == len(store.runs(only=only))
        return [run.task[5] for run in store.runs(only=only)]

    assert found(state="answered") == ["3", "2", "1", "0"]
    assert found(state="running") == ["8", "7", "6", "5", "4"]
    assert found(state="dead") == ["9"]
    assert found(text="LAMP", model="a") == ["2", "0"]
    assert found(text="6 100%") == ["6"]
    assert found(text="%6") == []
    assert found(benchmark="hop/") == ["2", "1", "0"]
    assert [run.task[5] for run in store.runs(2, offset=3)] == ["6", "5"]
    assert store.count() == 10


def test_a_store_of_format_1_is_read_and_goes_on(tmp_path):
    path = tmp_path / "runs.sqlite"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "old" / "format1.sqlite.gz").read_bytes()))
    for _ in range(2):  # the second time it is of today's format
        with RunStore(path) as store:
            killed, done = store.runs()
            assert (done.state, done.ended.answer, done.steps, done.ended.folds) == ("answered", "42", 7, 1)
            assert (killed.state, killed.steps) == ("dead", 3)
            assert len(store.events(done.id)) == 27
            assert isinstance(store.events(killed.id)[-1].event, Intended)
            assert begun(store).id == store.runs()[0].id
            store._database.connection.execute("DELETE FROM records WHERE key >> 32 > 2")
            store._database.connection.execute("DELETE FROM runs WHERE number > 2")


def test_a_missing_event_is_told(store):
    log = begun(store)
    for step in (1, 2):
        log.append(Intended(step=step, thought="", action=Search(query="q")))
    store._database.connection.execute("DELETE FROM records WHERE key % 4294967296 = 2")
    with pytest.raises(StoreError, match="before number 3 is missing"):
        store.events(log.id)
