"""A thousand actions in a window of 8k tokens: what grows, and what does not.

Only the loop, folding and the log are measured: models are scripts, so that no figure depends on one.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepagent import Agent, AgentConfig, Limits, tool
from deepagent.actions import Frozen
from deepagent.models import ScriptedModel
from deepagent.models.base import Generated, Sampling, Usage
from deepagent.models.scripted import token_ids
from deepagent.runs.events import Ended, Folded, Observed
from deepagent.runs.store import RunStore
from deepagent.tools import JsonSchema
from deepagent.transcript import Message, Segment, Window

WINDOW = 8192
SAMPLE = 25
"""Steps between two looks at the process."""
EDGE = 100
"""Steps at the beginning and at the end that are compared."""
_WARM = 0.3
"""Share of the run that is left out of the memory's slope: caches and pools fill."""


class Endurance(Frozen):
    """What was seen of runs that went on side by side.

    Attributes:
        largest: tokens of the largest prompt.
        first: milliseconds of processor time per step over the first `EDGE` steps of each run, folds among them; what
            else the machine does is left out.
        last: the same over the last.
        slope: bytes that the process grew by per step of all runs, by least squares after the warm-up.
        grown: MiB between the end of the warm-up and the end.
        log: bytes that the log took for the second half of its records, relative to the first.
    """

    runs: int
    steps: int
    folds: int
    window: int
    largest: int
    first: float
    last: float
    slope: float
    grown: float
    log: float
    seconds: float


@tool(effect="pure")
def inspect(station: int) -> str:
    """The report of one station."""
    return f"Station {station}: the pumps ran at {station % 7 + 2}.{station % 10} bar; code S-{station:04}. " * 4


class Inspector(ScriptedModel):
    """A model that inspects one station after the other. It keeps nothing of what it was sent, and takes no time."""

    def __init__(self, steps: int, sent: list[int]) -> None:
        super().__init__(context=WINDOW, chat_replies=_notes)
        self._left = steps
        self._sent = sent

    def _next(self) -> str:
        self._left -= 1
        if self._left <= 0:
            return "Done.\n<answer>done</answer>"
        if self._left % 50 == 0:
            return '<tool_call>{"name": "recall", "arguments": {"query": "code of station 17"}}</tool_call>'
        station = json.dumps({"name": "inspect", "arguments": {"station": self._left}})
        return f"I go on with station {self._left}.\n<tool_call>{station}</tool_call>"

    async def generate(self, window: Window, sampling: Sampling, **options: Any) -> Generated:
        self._sent.append(window.tokens)
        text = self._next()
        segment = Segment(kind="generated", text=text, token_ids=token_ids(text))
        usage = Usage(prompt_tokens=window.tokens, completion_tokens=segment.tokens)
        return Generated(segment=segment, finish="stop", usage=usage, seconds=0)

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        try:
            return await super().chat(messages, sampling, schema=schema)
        finally:
            self.conversations.clear()


def _notes(messages: Sequence[Message], schema: JsonSchema | None) -> str:
    told = {
        "EpisodicNotes": {"task_description": "stations", "key_events": [], "current_progress": "Stations were seen."},
        "WorkingMemory": {"immediate_goal": "go on", "current_challenges": "none", "next_actions": []},
        "ToolNotes": {"tools_used": [], "derived_rules": []},
    }
    return json.dumps(told[(schema or {})["title"]])


async def endure(runs: int, steps: int, work: Path) -> Endurance:
    """Let so many runs take so many steps each, side by side in one process and one store."""
    path = work / f"endurance-{runs}-{time.time_ns()}.sqlite"
    config = AgentConfig(
        encoder="hash", execute=False, limits=Limits(actions=steps + 10, folds=None, idle=None)
    )  # fmt: skip
    sent: list[int] = []
    watch = _Watch(runs, steps)
    began = time.monotonic()
    with RunStore(path) as store:
        work_of = [_run(Inspector(steps, sent), config, store, watch) for _ in range(runs)]
        folds = sum(await asyncio.gather(*work_of))
    seconds, log = time.monotonic() - began, _growth(path)
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
    return Endurance(
        runs=runs,
        steps=steps,
        folds=folds,
        window=WINDOW,
        largest=max(sent),
        seconds=seconds,
        log=log,
        **watch.figures(),
    )


async def _run(model: Inspector, config: AgentConfig, store: RunStore, watch: _Watch) -> int:
    folds = 0
    agent = Agent(model, [inspect], config=config, store=store)
    async for item in agent.stream("Inspect all stations."):
        if isinstance(item, Observed):
            watch.step()
        folds += isinstance(item, Folded)
        assert not isinstance(item, Ended) or item.status == "answered", item.reason
    return folds


class _Watch:
    """Looks at the process every so many steps."""

    def __init__(self, runs: int, steps: int) -> None:
        self._edge = EDGE * runs
        self._total = runs * (steps - 1)  # the last one is the answer
        self._every = max(SAMPLE, self._total // 200)
        self._steps = 0
        self._times = {0: time.process_time()}
        self._seen: list[tuple[int, int]] = []

    def step(self) -> None:
        self._steps += 1
        if self._steps in (self._edge, self._total - self._edge, self._total):
            self._times[self._steps] = time.process_time()
        if self._steps % self._every == 0:
            gc.collect()
            self._seen.append((self._steps, _resident()))

    def figures(self) -> dict[str, float]:
        warm = [one for one in self._seen if one[0] > self._total * _WARM]
        steps, resident = (np.array(column, float) for column in zip(*warm, strict=True))
        times, edge = self._times, self._edge
        return {
            "first": (times[edge] - times[0]) / edge * 1000,
            "last": (times[self._total] - times[self._total - edge]) / edge * 1000,
            "slope": float(np.polyfit(steps, resident, 1)[0]),
            "grown": float(resident[-1] - resident[0]) / (1 << 20),
        }


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _growth(path: Path) -> float:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT key >> 32, length(body) FROM records ORDER BY key").fetchall()
    connection.close()
    halves = [0, 0]
    for _, records in itertools.groupby(rows, key=lambda row: row[0]):
        sizes = [size for _, size in records]
        halves[0] += sum(sizes[: len(sizes) // 2])
        halves[1] += sum(sizes[len(sizes) // 2 :])
    return halves[1] / halves[0]
