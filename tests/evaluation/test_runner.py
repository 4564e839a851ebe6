"""Evaluations: bounded, in order, kept as they come, taken up again."""

import asyncio

import pytest

from deepagent.errors import EvaluationStoppedError
from deepagent.evaluation import runner
from deepagent.evaluation.executors import AsyncioExecutor
from deepagent.evaluation.store import ResultStore
from tests.evaluation.support import METRICS, SETUP, Sums, result

TASKS = Sums("1", "2", "3").tasks()


class Pretending:
    """A worker that is done at once, and remembers."""

    def __init__(self, make=lambda task, seed: result(task.id, seed), pause=0):
        self.make = make
        self.pause = pause
        self.worked = []
        self.at_once = self.most = 0

    async def episode(self, task, seed):
        self.worked.append((task.id, seed))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        for _ in range(self.pause):
            await asyncio.sleep(0)
        self.at_once -= 1
        return self.make(task, seed)


@pytest.fixture
def store(tmp_path):
    with ResultStore(tmp_path / "results.sqlite") as opened:
        yield opened


async def run(store, worker, *, resume=False, seeds=1, concurrency=1, tasks=TASKS, told=None):
    evaluation = runner.begin(store, SETUP, METRICS, resume=resume)
    tell = (lambda progress: None) if told is None else told.append
    executor = AsyncioExecutor(worker, concurrency)
    await runner.run(evaluation, tasks, seeds=seeds, executor=executor, store=store, tell=tell)
    return evaluation


async def test_every_task_is_worked_on_once_before_one_is_worked_on_again(store):
    worker, told = Pretending(), []
    evaluation = await run(store, worker, seeds=2, told=told)
    assert worker.worked == [("1", 0), ("2", 0), ("3", 0), ("1", 1), ("2", 1), ("3", 1)]
    assert len(store.results(evaluation.id)) == 6
    assert [(one.done, one.total) for one in told] == [(number, 6) for number in range(7)]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_so_many_are_in_flight_and_no_more(store, concurrency):
    worker = Pretending(pause=3)
    await run(store, worker, seeds=4, concurrency=concurrency)
    assert worker.most == concurrency


async def test_an_evaluation_goes_on_where_it_was_left(store):
    def breaks(task, seed):
        if task.id == "3":
            raise RuntimeError("killed")
        return result(task.id, seed)

    with pytest.raises(RuntimeError):
        await run(store, Pretending(breaks))
    worker, told = Pretending(), []
    evaluation = await run(store, worker, resume=True, seeds=2, told=told)
    assert worker.worked == [("3", 0), ("1", 1), ("2", 1), ("3", 1)]
    assert (told[0].done, told[0].total) == (2, 6)
    assert evaluation.id == f"sums-{SETUP.hash}"
    assert len(store.results(evaluation.id)) == 6


async def test_what_failed_is_run_again_and_what_is_done_is_not(store):
    evaluation = await run(
        store, Pretending(lambda task, seed: result(task.id, status="failed" if task.id == "2" else "limit"))
    )
    worker = Pretending()
    await run(store, worker, resume=True)
    assert worker.worked == [("2", 0)]
    assert [one.status for one in store.results(evaluation.id)] == ["limit", "answered", "limit"]


async def test_without_resume_a_new_evaluation_begins_beside_the_old_ones(store):
    ids = [(await run(store, Pretending())).id for _ in range(3)]
    assert ids == [f"sums-{SETUP.hash}", f"sums-{SETUP.hash}.2", f"sums-{SETUP.hash}.3"]
    assert (await run(store, Pretending(), resume=True)).id == ids[2]


async def test_another_setup_is_another_evaluation(store):
    first = runner.begin(store, SETUP, METRICS, resume=True)
    second = runner.begin(store, SETUP.model_copy(update={"prompt_hash": "other"}), METRICS, resume=True)
    assert first.id != second.id


async def test_results_that_came_together_with_a_crash_are_kept(store):
    def breaks(task, seed):
        if task.id == "1":
            raise RuntimeError("killed")
        return result(task.id, seed)

    with pytest.raises(RuntimeError):
        await run(store, Pretending(breaks), concurrency=3)
    assert {one.task for one in store.results(f"sums-{SETUP.hash}")} == {"2", "3"}


async def test_an_evaluation_stops_when_everything_fails_alike(store):
    worker = Pretending(lambda task, seed: result(task.id, seed, status="failed", reason="no server"))
    with pytest.raises(EvaluationStoppedError, match=r"last 20 episodes failed alike \(no server\)"):
        await run(store, worker, seeds=20)
    assert len(worker.worked) == 20


async def test_it_goes_on_when_failures_differ_or_are_rare(store):
    def differ(task, seed):
        return result(task.id, seed, status="failed", reason=f"no server {seed}")

    def rare(task, seed):
        return result(task.id, seed, status="failed" if seed % 2 else "answered", reason="no server")

    for make in (differ, rare):
        worker = Pretending(make)
        await run(store, worker, seeds=20)
        assert len(worker.worked) == 60


async def test_who_stops_listening_cancels_what_is_in_flight():
    stopped = []

    class Slow:
        async def episode(self, task, seed):
            if task.id == "1":
                return result("1")
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(task.id)

    running = AsyncioExecutor(Slow(), 3).run([(task, 0) for task in TASKS])
    assert (await anext(running)).task == "1"
    await running.aclose()
    assert sorted(stopped) == ["2", "3"]
