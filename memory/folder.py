"""Folding: old memory plus the window's steps become new memory.

Three parallel calls to the auxiliary model (DeepAgent, arXiv 2510.21618, eq. 4), each held to a JSON Schema, checked
against the log, asked once more when wrong, and replaced by what the log alone can tell when wrong again. So a broken
auxiliary model makes memory poorer, but never ends a run.

Only the steps since the fold before are read: a fold costs what its window holds, however long the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deepagent.memory import prompts
from deepagent.memory.asking import Asked, Auxiliary
from deepagent.memory.checks import Log
from deepagent.memory.config import FoldConfig
from deepagent.memory.ledger import telling
from deepagent.memory.merging import Narrative, from_log, merged
from deepagent.memory.render import render_memory, render_step
from deepagent.memory.schema import EpisodicNotes, Memory, ToolNotes, WorkingMemory
from deepagent.models.base import Model, Usage
from deepagent.runs.steps import Step
from deepagent.transcript import BYTES_PER_TOKEN, clipped

_PROMPT_TOKENS = 400
"""Room for instructions and the schema in a folding call."""
_LEAST_ROOM = 600
"""Bytes of memory and history that a folding call reads at least, however long the task."""


@dataclass(frozen=True)
class Folding:
    """What a fold made.

    Attributes:
        problems: what the auxiliary model got wrong and how it was mended, in words.
    """

    memory: Memory
    usage: Usage = field(default_factory=Usage)
    problems: tuple[str, ...] = ()


class Folder(Protocol):
    """Makes memory from history."""

    async def fold(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Folding:
        """Compress.

        Args:
            task: the task statement.
            steps: the steps since the fold before, or since the beginning.
            previous: the memory of the fold before.
            room: bytes that memory may take in the window.
        """
        ...

    def from_log(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Memory:
        """The same without asking any model."""
        ...


class MemoryFolder:
    """Folds into the three memories on a ledger.

    Args:
        model: the auxiliary model.
        config: its limits.
    """

    def __init__(self, model: Model, config: FoldConfig) -> None:
        reply = reply_tokens(model, config)
        self._model = model
        self._reply = reply
        self._auxiliary = Auxiliary(model, reply, config.seconds)
        self._tool_memory = config.tool_memory

    async def fold(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Folding:
        """See `Folder.fold`."""
        usage = Usage()
        problems: list[str] = []
        log = Log(task, steps, previous)
        narrative = Narrative.of(previous)
        readable = reading_room(self._model, self._reply, task)
        for history in chunks(steps, readable * 2 // 3):
            known = render_memory(narrative.over(previous), readable // 3) if previous or narrative.told else ""
            episodic, working, notes = await self._ask(task, known, history)
            for asked in (episodic, working, notes):
                usage += asked.usage
                problems.extend(asked.problems)
            narrative = narrative.then(
                log.episodic(episodic.part) if episodic.part else None,
                log.working(working.part) if working.part else None,
                log.notes(notes.part) if notes.part else None,
            )
        memory = merged(task, steps, previous, narrative, room, tool_memory=self._tool_memory)
        return Folding(memory=memory, usage=usage, problems=(*problems, *log.dropped))

    def from_log(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Memory:
        """See `Folder.from_log`."""
        return from_log(task, steps, previous, room, tool_memory=self._tool_memory)

    async def _ask(
        self, task: str, known: str, history: str
    ) -> tuple[Asked[EpisodicNotes], Asked[WorkingMemory], Asked[ToolNotes]]:
        def question(asked: str) -> str:
            return prompts.question(asked, task, known, history)

        ask = self._auxiliary.ask
        nothing: Asked[ToolNotes] = Asked(None, Usage())
        episodic, working, notes = await asyncio.gather(
            ask(EpisodicNotes, prompts.system(), question(prompts.EPISODIC)),
            ask(WorkingMemory, prompts.system(), question(prompts.WORKING)),
            ask(ToolNotes, prompts.system(), question(prompts.TOOL)) if self._tool_memory else _at_once(nothing),
        )
        return episodic, working, notes


def reply_tokens(model: Model, config: FoldConfig) -> int:
    """Longest reply of one folding call."""
    return min(config.max_tokens, model.context // 4)


def reading_room(model: Model, reply: int, task: str) -> int:
    """Bytes of memory and history that one folding call can read."""
    tokens = model.context - reply - _PROMPT_TOKENS
    return max(_LEAST_ROOM, tokens * BYTES_PER_TOKEN - len(task.encode()))


def chunks(steps: Sequence[Step], limit: int) -> Iterator[str]:
    """History in pieces of at most `limit` bytes, so that a folding call never overflows its own window.

    A step that fills more than two pieces by itself is cut; what the ledger and `recall` say of it is not.
    """
    chunk = ""
    for step in steps:
        text = clipped(render_step(step), limit * 2) if telling(step) else ""
        while text:
            piece = clipped(text, limit)
            text = text[len(piece) :]
            if chunk and len(chunk.encode()) + len(piece.encode()) >= limit:
                yield chunk
                chunk = piece
            else:
                chunk = f"{chunk}\n{piece}" if chunk else piece
    if chunk:
        yield chunk


async def _at_once(asked: Asked[ToolNotes]) -> Asked[ToolNotes]:
    return asked
