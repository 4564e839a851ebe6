"""A run that is cancelled at its k-th suspension, for every k, ends in order and goes on."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any

from deepagent import Agent
from deepagent.runs.events import Ended, Observed
from deepagent.runs.store import RunStore
from tests.faults.kills import resumed, scripted
from tests.faults.test_kills import CODE, FOLDS, SMALL_FOLDS, TOOLS, made
from tests.memory.test_folder import good
from tests.support import answer, calling


class CancelledAt:
    """Awaits something, and cancels the task that does when it is suspended for the k-th time."""

    def __init__(self, inner: Awaitable[Any], number: int) -> None:
        self._inner = inner
        self._number = number
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        inner, error = self._inner.__await__(), None
        while True:
            try:
                waits_for = inner.throw(error) if error else inner.send(None)
            except StopIteration as done:
                return done.value
            self._number -= 1
            if self._number == 0:
                self.reached = True
                asyncio.get_running_loop().call_soon(task.cancel)
            error = None
            try:
                yield waits_for
            except BaseException as thrown:
                error = thrown


async def cancelled_at_every_await(folder, make, config) -> int:
    number = 0
    while True:
        number += 1
        made.clear()
        place = folder / str(number)
        with RunStore(place / "runs.sqlite") as store:
            work = CancelledAt(Agent(make(0), TOOLS, config=config, store=store).run("Do it."), number)

            async def wait(work: CancelledAt = work) -> Any:
                return await work

            before = asyncio.all_tasks()
            result = (await asyncio.gather(asyncio.ensure_future(wait()), return_exceptions=True))[0]
            for _ in range(5):  # cancelled tasks take a turn of the loop to end
                await asyncio.sleep(0)
            assert asyncio.all_tasks() <= before, "a task was left behind"
            runs = store.runs()
        if not work.reached:
            assert result.answer
            return number - 1
        if not runs:
            continue  # it had not begun
        assert isinstance(result, asyncio.CancelledError) or runs[0].state == "answered", result
        if runs[0].state != "answered":
            assert runs[0].state == "interrupted"
            events = await resumed(runs[0].id, place, make, TOOLS, config)
            assert isinstance(events[-1], Ended)
            assert events[-1].answer
            unknown = [e for e in events if isinstance(e, Observed) and e.observation.error == "interrupted"]
            assert len(unknown) <= 2
        assert all(made.count(one) == 1 for one in made if one.startswith("order"))


async def test_every_await_of_a_run_that_folds(tmp_path, counted):
    config = SMALL_FOLDS.model_copy(update={"execute": False})
    number = await cancelled_at_every_await(tmp_path, scripted(FOLDS, chat_replies=good), config)
    counted(number, "cancellations, one at each await of a run that folds")


async def test_every_await_of_a_run_that_does_several_things_at_one_time(tmp_path, counted):
    calls = calling(("reading", {"day": 1}), ("order", {"article": "lamp"}), ("reading", {"day": 2}))
    script = [calls, calling(("remarks", {"day": 3})), answer("done")]
    config = SMALL_FOLDS.model_copy(update={"execute": False})
    number = await cancelled_at_every_await(tmp_path, scripted(script, functions=True), config)
    counted(number, "the same, of a run that calls several functions at one time")


async def test_every_await_of_a_run_that_runs_code(tmp_path, walls, counted):
    number = await cancelled_at_every_await(tmp_path, scripted(CODE), SMALL_FOLDS)
    counted(number, "the same, of a run that runs code")
