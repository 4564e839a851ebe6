"""The wall clock is set back, again and again, while runs are at work: only the times that are shown may care."""

import asyncio
import time
from itertools import pairwise

import pytest

from deepagent import Agent, Limits, UsageError
from deepagent.errors import ModelUnavailableError
from deepagent.runs import owners
from deepagent.runs.events import Ended
from deepagent.runs.export import export
from deepagent.runs.store import RunStore
from tests.faults.kills import essence, killed_at, resumed, scripted
from tests.faults.test_kills import TAGS, TOOLS, made
from tests.support import HASHED, WatchedModel, answer, assert_promises, call

HOUR = 3600.0


@pytest.fixture
def clock(monkeypatch):
    """A wall clock that goes an hour back whenever it is asked; everything else counts as it does."""
    asked: list[float] = []
    began = time.time()

    def backwards() -> float:
        asked.append(began - HOUR * (len(asked) + 1))
        return asked[-1]

    monkeypatch.setattr(time, "time", backwards)
    made.clear()
    return asked


class Slow(WatchedModel):
    """Takes its time with each reply."""

    async def generate(self, *args, **options):
        await asyncio.sleep(0.05)
        return await super().generate(*args, **options)


async def test_events_are_in_order_and_seconds_are_those_of_the_work(tmp_path, clock):
    began = time.monotonic()
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = await Agent(Slow(TAGS), TOOLS, config=HASHED, store=store).run("Do it.")
        took = time.monotonic() - began
        recorded = store.events(run.id)
        assert 0.05 * len(TAGS) <= run.seconds <= took
    assert len(clock) > 0, "the clock was never asked"
    assert all(before.at <= after.at for before, after in pairwise(recorded))
    assert_promises([one.event for one in recorded])
    assert "-" not in "".join(export(recorded, "csv")).partition("\n")[2].replace(run.id, ""), "no negative seconds"


async def test_a_run_goes_on_and_counts_its_seconds_although_its_second_process_has_an_earlier_clock(tmp_path, clock):
    make = scripted(TAGS)
    assert await killed_at(10**6, tmp_path / "whole", make, TOOLS) is None
    with RunStore(tmp_path / "whole" / "runs.sqlite") as store:
        wanted = [one.event for one in store.events(store.runs()[0].id)]
    made.clear()
    run = await killed_at(8, tmp_path, make, TOOLS)
    assert run is not None
    asked = len(clock)
    events = await resumed(run, tmp_path, make, TOOLS)
    assert len(clock) > asked, "the second process never asked for the time"
    assert essence(events) == essence(wanted)
    with RunStore(tmp_path / "runs.sqlite") as store:
        recorded = store.events(run)
        assert recorded[-1].at < recorded[0].at, "the clock went back between the processes"
        assert store.open_run(run).elapsed >= 0
    assert isinstance(events[-1], Ended)
    assert 0 <= events[-1].seconds < 60


async def test_what_was_spent_before_counts_against_a_limit_of_time(tmp_path, clock):
    class Breaks(Slow):
        async def generate(self, *args, **options):
            reply = await super().generate(*args, **options)
            if len(self.prompts) == 4:
                raise ModelUnavailableError("the server is gone")
            return reply

    script = [*(call("reading", day=day) for day in range(1, 8)), answer("done")]
    with RunStore(tmp_path / "runs.sqlite") as store:
        with pytest.raises(ModelUnavailableError):
            await Agent(Breaks(script), TOOLS, config=HASHED, store=store).run("Do it.")
        run = store.runs()[0].id
        spent = store.events(run)[-1].event
        assert isinstance(spent, Ended)
        assert spent.seconds >= 0.2
        config = HASHED.model_copy(update={"limits": Limits(seconds=0.1)})
        again = await Agent(WatchedModel([answer("7")]), TOOLS, config=config, store=store).resume(run)
    assert again.status == "forced", "its time was over when it began again"
    assert again.seconds >= 0.2


async def test_a_run_keeps_its_owner_and_a_dead_one_is_noticed(tmp_path, clock, monkeypatch):
    with RunStore(tmp_path / "runs.sqlite") as store, RunStore(tmp_path / "runs.sqlite") as other:
        states: list[str] = []

        def hear(item) -> None:
            if getattr(item, "kind", "") == "intended":
                run = other.runs()[0]
                states.append(run.state)
                with pytest.raises(UsageError, match="is at work in process"):
                    other.open_run(run.id)

        await Agent(scripted(TAGS)(0), TOOLS, config=HASHED, store=store).run("Do it.", hear=hear)
    assert set(states) == {"running"}
    mine = owners.claim()
    monkeypatch.setattr(owners, "_space", lambda: "another container")  # it sees only heartbeats
    assert owners.alive(mine.model_copy(update={"space": "elsewhere"}), owners.heartbeat())
    assert not owners.alive(mine.model_copy(update={"space": "elsewhere"}), owners.heartbeat() - 61)
    owners.give_up(mine)


async def test_the_newest_run_is_the_one_that_was_begun_last(tmp_path, clock):
    with RunStore(tmp_path / "runs.sqlite") as store:
        for number in range(3):
            await Agent(WatchedModel([answer(str(number))]), config=HASHED, store=store).run(f"Task {number}.")
        listed = store.runs()
        assert [run.task for run in listed] == ["Task 2.", "Task 1.", "Task 0."]
        assert listed[0].at < listed[-1].at, "its clock says otherwise"
        assert store.resolve("last") == listed[0].id
