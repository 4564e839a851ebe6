"""Runs with three folds that are killed with SIGKILL: at event 1, at event 2, and so on, until one comes to its end.

    python -m tests.folding_kills FOLDER

Each run is a process of its own, forked from this one, which has no threads; its store lies in FOLDER/NUMBER.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from deepagent import AgentConfig, FoldConfig, Limits, tool
from deepagent.agent import Agent, Delta
from deepagent.runs.events import Event
from deepagent.runs.store import RunStore
from tests.faults.kills import scripted
from tests.memory.test_folder import good
from tests.support import answer, call


@tool(effect="pure")
def remarks(day: int) -> str:
    """Long remarks on one day."""
    return f"day {day}: {day * 7} units. " + "The meter was in good order and was read at noon. " * 9


@tool(effect="pure")
def lever(n: int) -> str:
    """A lever that does nothing but fail."""
    raise RuntimeError(f"lever {n} does not move")


TOOLS = [remarks, lever]
CONFIG = AgentConfig(
    encoder="hash", execute=False, limits=Limits(actions=40, folds=5), fold=FoldConfig(at=0.28, shrink=0.95, stuck=3)
)
SCRIPT = [
    *[call("remarks", day=day) for day in range(1, 4)],
    "Too long.\n<fold_thought>",
    call("remarks", day=4),
    *[call("lever", n=n) for n in range(1, 4)],
    *[call("remarks", day=day) for day in range(5, 9)],
    call("recall", id="1"),
    answer("42"),
]
MODEL = scripted(SCRIPT, chat_replies=good)


async def run(folder: Path, kill_at: int | None) -> None:
    """The run, in a process that may die."""
    heard = 0

    def hear(item: Event | Delta) -> None:
        nonlocal heard
        heard += not isinstance(item, Delta)
        if heard == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with RunStore(folder / "runs.sqlite") as store:
        await Agent(MODEL(0), TOOLS, config=CONFIG, store=store).run("Read the meter.", hear=hear)


def main(folder: Path) -> None:
    number = 0
    while True:
        number += 1
        child = os.fork()
        if child == 0:
            asyncio.run(run(folder / str(number), number))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


if __name__ == "__main__":
    main(Path(sys.argv[1]))
