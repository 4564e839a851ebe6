"""Folding: old memory plus the window's steps become new memory.

Three parallel calls to the auxiliary model (DeepAgent, arXiv 2510.21618, eq. 4), each held to a JSON Schema, checked,
asked once more when wrong, and replaced by what the log alone can tell when wrong again. So a broken auxiliary model
makes memory poorer, but never ends a run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepagent.errors import ModelError
from deepagent.memory import prompts
from deepagent.memory.ledger import ledger, shorten, telling, tool_records
from deepagent.memory.render import render_memory, render_step
from deepagent.memory.schema import (
    EpisodicMemory,
    KeyEvent,
    Memory,
    ToolMemory,
    ToolNotes,
    WorkingMemory,
)
from deepagent.models.base import Model, Sampling, Usage
from deepagent.runs.steps import Step
from deepagent.transcript import BYTES_PER_TOKEN, Message, clipped

Part = TypeVar("Part", bound=BaseModel)

_RULES = 6
_PROMPT_TOKENS = 400
"""Room for instructions and the schema in a folding call."""


class FoldConfig(BaseModel):
    """When and how history is folded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: float = Field(0.75, gt=0, lt=1)
    """Fold by itself when the window holds this share of the model's context."""
    shrink: float = Field(0.7, gt=0, lt=1)
    """The new window must be at most this share of the old one."""
    memory: float = Field(0.25, gt=0, lt=1)
    """Memory in the new window takes at most this share of the model's context."""
    max_tokens: int = Field(700, ge=64)
    """Longest reply of one folding call; at most a quarter of the auxiliary model's context is used."""


@dataclass(frozen=True)
class Folding:
    """What a fold made.

    Attributes:
        problems: what the auxiliary model got wrong and how it was mended, in words.
    """

    memory: Memory
    usage: Usage
    problems: tuple[str, ...]


class MemoryFolder:
    """Makes memory from history.

    Args:
        model: the auxiliary model.
        config: its limits.
    """

    def __init__(self, model: Model, config: FoldConfig) -> None:
        self._model = model
        self._config = config

    async def fold(self, task: str, steps: Sequence[Step], since: int, previous: Memory | None) -> Folding:
        """Compress.

        Args:
            task: the task statement.
            steps: all steps of the run; counts and the ledger are taken from them.
            since: index of the first step that `previous` does not cover.
            previous: the memory of the fold before.
        """
        usage = Usage()
        problems: list[str] = []
        memory = previous
        for history in self._chunks([step for step in steps[since:] if telling(step)], self._room(task) * 2 // 3):
            known = render_memory(memory, self._room(task) // 3) if memory else ""
            episodic, working, notes = await asyncio.gather(
                self._ask(EpisodicMemory, prompts.question(prompts.EPISODIC, task, known, history)),
                self._ask(WorkingMemory, prompts.question(prompts.WORKING, task, known, history)),
                self._ask(ToolNotes, prompts.question(prompts.TOOL, task, known, history)),
            )
            for _, spent, found in (episodic, working, notes):
                usage += spent
                problems.extend(found)
            memory = _combine(task, steps, memory, episodic[0], working[0], notes[0])
        if memory is None:
            memory = from_log(task, steps, None)
        return Folding(memory=memory, usage=usage, problems=tuple(problems))

    def _room(self, task: str) -> int:
        """Bytes of memory and history that one folding call can take."""
        tokens = self._model.context - self._reply_tokens - _PROMPT_TOKENS
        return max(600, tokens * BYTES_PER_TOKEN - len(task.encode()))

    @property
    def _reply_tokens(self) -> int:
        return min(self._config.max_tokens, self._model.context // 4)

    def _chunks(self, steps: Sequence[Step], limit: int) -> list[str]:
        """History in pieces of at most `limit` bytes, so that a folding call never overflows its own window."""
        chunks: list[str] = []
        for step in steps:
            text = render_step(step)
            while text:
                piece = clipped(text, limit)
                text = text[len(piece) :]
                if chunks and len(chunks[-1].encode()) + len(piece.encode()) < limit:
                    chunks[-1] += f"\n{piece}"
                else:
                    chunks.append(piece)
        return chunks

    async def _ask(self, part: type[Part], question: str) -> tuple[Part | None, Usage, list[str]]:
        """One memory: asked, checked, asked again with the error, or None."""
        messages = [Message(role="system", content=prompts.system()), Message(role="user", content=question)]
        sampling = Sampling(temperature=0, max_tokens=self._reply_tokens)
        usage = Usage()
        problems: list[str] = []
        for _ in range(2):
            try:
                reply = await self._model.chat(messages, sampling, schema=part.model_json_schema())
            except ModelError as error:
                problems.append(f"{part.__name__}: {error}")
                break
            usage += reply.usage
            try:
                return part.model_validate_json(reply.segment.text.strip()), usage, problems
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the whole"
                problem = f"{part.__name__}: {where}: {first['msg']}"
                problems.append(problem)
                mend = f"That does not fit the schema: {problem}. Answer with the corrected JSON only, and be brief."
                messages = [
                    *messages[:2],
                    Message(role="assistant", content=reply.segment.text[:2000]),
                    Message(role="user", content=mend),
                ]
        problems.append(f"{part.__name__}: taken from the log instead")
        return None, usage, problems


def _experience(steps: Sequence[Step], previous: ToolMemory, notes: ToolNotes | None) -> ToolMemory:
    """Counts from the log, words from the newest notes that have any, and the rules of all folds, newest first."""
    words = {record.tool_name: (record.response_pattern, record.experience) for record in previous.tools_used}
    if notes is not None:
        words |= {note.tool_name: (note.response_pattern, note.experience) for note in notes.tools_used}
    rules = dict.fromkeys((*(notes.derived_rules if notes else ()), *previous.derived_rules))
    return ToolMemory(tools_used=tool_records(steps, words), derived_rules=tuple(rules)[:_RULES])


def _step_number(cited: str) -> int | None:
    """The step that an event cites; the model may cite as "3" or "step 3", and invents the rest."""
    number = re.fullmatch(r"(?:step\s*)?(\d+)", cited.strip(), re.IGNORECASE)
    return int(number.group(1)) if number else None


def from_log(task: str, steps: Sequence[Step], previous: Memory | None) -> Memory:
    """Memory without any model: what the log knows, and the words of the fold before."""
    return _combine(task, steps, previous, None, None, None)


def _combine(
    task: str,
    steps: Sequence[Step],
    previous: Memory | None,
    episodic: EpisodicMemory | None,
    working: WorkingMemory | None,
    notes: ToolNotes | None,
) -> Memory:
    """The log's facts everywhere; the model's words where it gave any, new ones before those of the fold before."""
    entries = ledger(steps)
    if previous is not None:
        episodic, working = episodic or previous.episodic, working or previous.working
    done = [entry for entry in entries if entry.ok]
    failed = [entry for entry in entries if not entry.ok]
    if episodic is None:
        episodic = EpisodicMemory(
            task_description=shorten(task, 160),
            key_events=tuple(
                KeyEvent(step=str(entry.step), description=entry.action, outcome=shorten(entry.result, 160))
                for entry in done[-5:]
            ),
            current_progress=f"{len(entries)} steps taken, {len(failed)} of them failed",
        )
    if working is None:
        working = WorkingMemory(
            immediate_goal="go on with the task from the last step in the log",
            current_challenges=shorten(failed[-1].result, 160) if failed else "none known",
            next_actions=(),
        )
    known = {entry.step for entry in entries}
    cited = tuple(event for event in episodic.key_events if _step_number(event.step) in known)
    episodic = episodic.model_copy(update={"key_events": cited})
    return Memory(
        episodic=episodic,
        working=working,
        tool=_experience(steps, previous.tool if previous else ToolMemory(), notes),
        ledger=entries,
    )
