"""A run with three folds, killed with SIGKILL at every event: it goes on, and no fold is half applied."""

import asyncio
import sys
from itertools import pairwise

from deepagent.runs.events import Ended, Folded, WindowOpened
from deepagent.runs.store import RunStore
from tests.faults.kills import essence, resumed
from tests.folding_kills import CONFIG, MODEL, TOOLS


async def test_a_run_with_three_folds_comes_to_the_same_end_wherever_it_is_killed(tmp_path):
    killing = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.folding_kills", str(tmp_path))
    assert await killing.wait() == 0
    *killed, whole = sorted(int(folder.name) for folder in tmp_path.iterdir())
    with RunStore(tmp_path / str(whole) / "runs.sqlite") as store:
        events = [one.event for one in store.events(store.runs()[0].id)]
    wanted = essence(events)
    assert [event.reason for event in events if isinstance(event, Folded)] == ["asked", "stuck", "window"]
    assert len(killed) == len(events)
    for number in killed:
        folder = tmp_path / str(number)
        with RunStore(folder / "runs.sqlite") as store:
            (left,) = store.runs()
            before = [one.event for one in store.events(left.id)]
        assert number <= len(before) <= number + 2, "what was written together with the event is there too"
        for one, other in pairwise([*before, None]):
            assert isinstance(one, Folded) <= isinstance(other, WindowOpened), "a fold without its window"
        if left.ended is not None:
            continue  # it was killed after its end
        after = await resumed(left.id, folder, MODEL, TOOLS, CONFIG)
        assert essence(after) == wanted, f"killed at event {number}, {events[number - 1].kind}"
        assert isinstance(after[-1], Ended)
        assert (after[-1].answer, after[-1].folds) == ("42", 3)
