"""What the soak is made of: runs whose steps are known, and faults that are drawn beforehand."""

import asyncio
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from deepagent import Agent, Limits, OperatorError, tool
from deepagent.errors import ModelUnavailableError
from deepagent.models import Generated
from deepagent.runs.events import Event, Intended, Observed, Replied, Resumed
from deepagent.runs.store import RunStore
from deepagent.sandbox import SandboxConfig
from tests.faults.kills import Killed
from tests.support import HASHED, WatchedModel, answer, call, execute

SHARE = 0.05
"""Of the steps have a fault."""
FAULTS = (
    "model server gone",
    "cancelled",
    "killed when a step was intended",
    "killed when a step was observed",
    "killed inside a tool",
    "disk broken",
    "tool failed",
    "reply without action",
    "interpreter killed",
)
ENDING = FAULTS[:6]
"""These end the process's work on the run."""
CONFIG = HASHED.model_copy(
    update={
        "limits": Limits(actions=None, calls=None, folds=None, tokens=None, seconds=None, idle=None),
        "fold": None,
        "sandbox": SandboxConfig(warm=0),
    }
)


class BrokenDisk:
    """A connection on which no statement that writes succeeds any more."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if not sql.lstrip().startswith("SELECT"):
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(sql, *values)


class Case:
    """One run of the soak: what its model says, what goes wrong at which step, and what came of it.

    Attributes:
        drawn: the fault of each step that has one.
        injected: those that have happened; each happens once.
        asked: how often the model was asked for a reply.
        made: how often each call of a tool had its effect, by step.
        id: the run's.
    """

    def __init__(self, number: int, steps: int, seed: int) -> None:
        self.number = number
        self.steps = steps
        chance = random.Random(seed * 1000 + number)
        self.drawn = {
            step: self._fitting(step, chance) for step in range(1, steps) if chance.random() < SHARE
        }  # the last step is the answer
        self.injected: dict[int, str] = {}
        self.asked = 0
        self.made: Counter[int] = Counter()
        self.id = ""
        self._dying = False

    def _fitting(self, step: int, chance: random.Random) -> str:
        """A fault that can happen to the step: only code can kill the interpreter, only a call fail."""
        kind = self.kind(step)
        amiss = {"code": ("killed inside a tool", "tool failed")}.get(kind, ("interpreter killed",))
        return chance.choice([fault for fault in FAULTS if fault not in amiss])

    @staticmethod
    def kind(step: int) -> str:
        """What the model does in a step."""
        return "code" if step % 10 == 1 else "order" if step % 5 == 0 else "reading"

    def reply(self, step: int) -> str:
        """What the model says in a step."""
        if step == self.steps:
            return answer(f"run {self.number}")
        if self.drawn.get(step) == "reply without action":
            return f"I only talk of {self.number}.{step}, and then"
        if self.drawn.get(step) == "interpreter killed":
            return execute(f"import os  # {self.number}.{step}\nos._exit(1)")
        if self.kind(step) == "code":
            return execute(f"x = {step}  # {self.number}.{step}\nprint(x)")
        return call(self.kind(step), step=step)

    def due(self, step: int, *faults: str) -> str | None:
        """The fault of this step, if it is one of these and has not happened yet."""
        fault = self.drawn.get(step)
        if fault not in faults or step in self.injected:
            return None
        self.injected[step] = fault
        return fault

    async def work(self, path: Path) -> bool:
        """Work on the run, as one process does, until it ends or a fault ends the work; whether it has its answer."""
        self._dying = False
        with RunStore(path) as store:
            done = [e.event for e in store.events(self.id) if isinstance(e.event, Replied)] if self.id else []
            model = _Model(self, store, first=len(done) + 1)
            agent = Agent(model, self._tools(store), config=CONFIG, store=store)

            def hear(item: Any) -> None:
                if isinstance(item, Intended) and self.due(item.step, "killed when a step was intended"):
                    self.die(store)
                if isinstance(item, Observed) and self.due(item.step, "killed when a step was observed"):
                    self.die(store)
                self.id = self.id or getattr(item, "run", "")

            work = agent.resume(self.id, hear=hear) if self.id else agent.run(f"Run {self.number}.", hear=hear)
            ended = (await asyncio.gather(asyncio.create_task(work), return_exceptions=True))[0]
        if isinstance(ended, BaseException):
            assert isinstance(ended, (OperatorError, asyncio.CancelledError)) or self._dying, repr(ended)
            return False
        assert ended.status == "answered", ended
        return True

    def die(self, store: RunStore) -> None:
        """What SIGKILL leaves: nothing can be written any more, and nobody may handle it."""
        self._dying = True
        store._database.connection.close()
        raise Killed

    def _tools(self, store: RunStore) -> list[Any]:
        def act(step: int) -> str:
            self.made[step] += 1
            if self.due(step, "killed inside a tool"):
                self.die(store)
            if self.due(step, "tool failed"):
                raise ValueError("no more paper")
            return f"step {step} is done"

        @tool(effect="pure")
        async def reading(step: int) -> str:
            """The meter's reading."""
            return act(step)

        @tool(effect="unsafe")
        async def order(step: int) -> str:
            """Orders an article."""
            return act(step)

        return [reading, order]

    def account(self, events: list[Event]) -> None:
        """Check that every reply, step and effect is in the log once, and every fault that was drawn has happened."""
        assert self.injected == self.drawn
        replies = [event.generated.segment.text for event in events if isinstance(event, Replied)]
        assert replies == [self.reply(step) for step in range(1, self.steps + 1)], "a reply is lost, or is there twice"
        seen = [event for event in events if isinstance(event, Observed)]
        assert [event.step for event in seen] == list(range(1, self.steps)), "a step has not one outcome"
        ends = sum(fault in ENDING for fault in self.drawn.values())
        assert sum(isinstance(event, Resumed) for event in events) == ends
        broken = sum(fault == "disk broken" for fault in self.drawn.values())
        assert self.steps <= self.asked <= self.steps + broken, "a reply that is in the log was asked for again"
        for step in range(1, self.steps):
            self._account_for(step, seen[step - 1])

    def _account_for(self, step: int, seen: Observed) -> None:
        fault, kind = self.drawn.get(step), self.kind(step)
        called = kind != "code" and fault != "reply without action"
        twice = kind == "reading" and fault == "killed inside a tool"
        may_not = kind == "order" and fault == "killed when a step was intended"
        assert self.made[step] == (2 if twice else 0 if may_not else 1 if called else 0), (step, fault)
        unknown = kind == "order" and fault in ("killed inside a tool", "killed when a step was intended")
        expected = (
            "interrupted" if unknown
            else "malformed" if fault == "reply without action"
            else "tool_failed" if fault == "tool failed"
            else "crash" if fault == "interpreter killed"
            else None
        )  # fmt: skip
        assert seen.observation.error == expected, (step, fault, seen.observation)


class _Model(WatchedModel):
    """Says what the case has it say, from a step on."""

    def __init__(self, case: Case, store: RunStore, first: int) -> None:
        super().__init__([case.reply(step) for step in range(first, case.steps + 1)], context=100_000)
        self._case = case
        self._store = store
        self._step = first

    async def generate(self, *args: Any, **options: Any) -> Generated:
        case, step = self._case, self._step
        if case.due(step, "model server gone"):
            raise ModelUnavailableError("the server is gone")
        if case.due(step, "cancelled"):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        if case.due(step, "disk broken"):
            self._store._database.connection = BrokenDisk(self._store._database.connection)  # type: ignore[assignment]
        case.due(step, "reply without action", "interpreter killed")  # the reply itself is the fault
        case.asked += 1
        self._step += 1
        return await super().generate(*args, **options)
