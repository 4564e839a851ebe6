"""What is still in memory after k folds, what is within reach of recall, and what a fold costs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.memory.baselines import METHODS
from benchmarks.memory.cache import Remembering
from benchmarks.memory.tasks import TASK, LongTask, long_task
from deepagent.actions import Frozen
from deepagent.memory.archive import Archive
from deepagent.memory.config import FoldConfig
from deepagent.memory.recall import recall_tool
from deepagent.memory.render import render_memory
from deepagent.memory.schema import Memory
from deepagent.runs.events import Intended, Observed, Started
from deepagent.runs.store import RunStore
from deepagent.transcript import BYTES_PER_TOKEN, Segment

WINDOW = 4096
"""Tokens of the main model's window."""
STEPS_PER_FOLD = 15
"""About what such a window holds of this history beside prompt and memory."""
LATER = 50
"""Steps after which something counts as asked for much later."""
CONFIG = FoldConfig(seconds=3600)
ROOM = int(WINDOW * CONFIG.memory) * BYTES_PER_TOKEN
_CODE = re.compile(r"\b[A-Z]{2}-\d{4}\b")


class Fold(Frozen):
    """One fold by one method on one task.

    Attributes:
        planted: facts and rules that the history holds so far.
        kept: how many of them memory holds, word for word.
        planted_later: those that were planted at least `LATER` steps before.
        total: whether memory holds the running total.
        invented: access codes in memory that no step ever showed.
        seconds: what the calls took one after another, as the embedded model answers them.
        problems: replies that did not fit, and claims that were left out.
    """

    model: str
    method: str
    seed: int
    fold: int
    planted: int
    kept: int
    planted_later: int
    kept_later: int
    total: bool
    invented: int
    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float
    problems: int


class Recalled(Frozen):
    """What `recall` gave on one task.

    Attributes:
        by_step: planted things that came back when their step was asked for.
        by_search: planted things that a search by words led to, within the first three hits.
    """

    seed: int
    planted: int
    by_step: int
    by_search: int


async def measure(
    auxiliary: Remembering, methods: Sequence[str], seed: int, folds: int, told: Callable[[Fold], None]
) -> None:
    """Fold the task of a seed by each method, in turns, so that a measurement that is cut off is even."""
    task = long_task(seed, folds * STEPS_PER_FOLD)
    histories = [_History(method, task, seed, auxiliary) for method in methods]
    for number in range(1, folds + 1):
        for history in histories:
            told(await history.fold(number))


class _History:
    """One task as one method folds it."""

    def __init__(self, method: str, task: LongTask, seed: int, auxiliary: Remembering) -> None:
        self._method, self._seed = method, seed
        self._task = task
        self._auxiliary = auxiliary
        self._folder = METHODS[method](auxiliary, CONFIG)
        self._memory: Memory | None = None
        self._shown = " ".join(step.observation.text for step in task.steps if step.observation)

    async def fold(self, number: int) -> Fold:
        """The fold of this number, and what memory holds after it."""
        end = number * STEPS_PER_FOLD
        calls, seconds = self._auxiliary.calls, self._auxiliary.seconds
        steps = self._task.steps[end - STEPS_PER_FOLD : end]
        folding = await self._folder.fold(TASK, steps, self._memory, ROOM)
        self._memory = folding.memory
        text = render_memory(folding.memory, ROOM)
        planted = [one for one in self._task.planted if one.step <= end]
        later = [one for one in planted if one.step <= end - LATER]
        return Fold(
            model=self._auxiliary.name,
            method=self._method,
            seed=self._seed,
            fold=number,
            planted=len(planted),
            kept=sum(one.in_text(text) for one in planted),
            planted_later=len(later),
            kept_later=sum(one.in_text(text) for one in later),
            total=self._task.totals[end - 1] in text,
            invented=sum(code not in self._shown for code in set(_CODE.findall(text))),
            calls=self._auxiliary.calls - calls,
            prompt_tokens=folding.usage.prompt_tokens,
            cached_tokens=folding.usage.cached_tokens,
            completion_tokens=folding.usage.completion_tokens,
            seconds=self._auxiliary.seconds - seconds,
            problems=len(folding.problems),
        )


def recalled(seed: int, folds: int, work: Path) -> Recalled:
    """Ask `recall` for everything that was planted, from a log of the same history."""
    task = long_task(seed, folds * STEPS_PER_FOLD)
    path = work / f"history-{seed}-{time.time_ns()}.sqlite"
    with RunStore(path) as store:
        log = store.new_run()
        log.append(Started(run=log.id, task=TASK, model="none", context=WINDOW, settings={}))
        for step in task.steps:
            observation: Any = step.observation
            segment = Segment(kind="observation", text=observation.text)
            log.append(
                Intended(step=step.number, thought=step.thought, action=step.action),
                Observed(step=step.number, observation=observation, segment=segment, seconds=0),
            )
        counts = asyncio.run(_ask(Archive(log), task))
        log.release()
    for leftover in work.glob(f"{path.name}*"):
        leftover.unlink()
    return Recalled(seed=seed, planted=len(task.planted), by_step=counts[0], by_search=counts[1])


async def _ask(archive: Archive, task: LongTask) -> tuple[int, int]:
    recall = recall_tool(archive).invoke
    by_step = [one.in_text(await recall({"id": str(one.step)})) for one in task.planted]
    by_search = [_led_to(one.step, await recall({"query": one.question})) for one in task.planted]
    archive.close()
    return sum(by_step), sum(by_search)


def _led_to(step: int, hits: str) -> bool:
    return f'id "{step}"' in "\n".join(hits.splitlines()[:3])
