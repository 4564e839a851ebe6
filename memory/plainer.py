"""Plainer ways to shorten history, to be compared with folding: one paragraph, and forgetting."""

from __future__ import annotations

from collections.abc import Sequence

from deepagent.memory import prompts
from deepagent.memory.asking import Auxiliary
from deepagent.memory.config import FoldConfig
from deepagent.memory.folder import Folder, Folding, MemoryFolder, chunks, reading_room, reply_tokens
from deepagent.memory.ledger import telling
from deepagent.memory.merging import in_use
from deepagent.memory.render import newest, render_step
from deepagent.memory.schema import EpisodicMemory, Memory, WorkingMemory
from deepagent.models.base import Model, Usage
from deepagent.runs.steps import Step
from deepagent.transcript import clipped


def make_folder(model: Model, config: FoldConfig) -> Folder:
    """The folder that works by the configured method, with the auxiliary model."""
    if config.method == "truncate":
        return Truncation()
    return SummaryFolder(model, config) if config.method == "summary" else MemoryFolder(model, config)


class Truncation:
    """Keeps the newest steps in full, and forgets the others."""

    async def fold(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Folding:
        """See `Folder.fold`."""
        return Folding(self.from_log(task, steps, previous, room))

    def from_log(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Memory:
        """See `Folder.from_log`."""
        texts = [*(previous.recent if previous else ()), *(render_step(step) for step in steps if telling(step))]
        return _plain(steps, previous, "", tuple(newest(texts, room)))


class SummaryFolder:
    """Keeps one paragraph that the auxiliary model writes from the paragraph before and the new steps.

    Args:
        model: the auxiliary model.
        config: its limits.
    """

    def __init__(self, model: Model, config: FoldConfig) -> None:
        self._model = model
        self._reply = reply_tokens(model, config)
        self._auxiliary = Auxiliary(model, self._reply, config.seconds)

    async def fold(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Folding:
        """See `Folder.fold`."""
        usage = Usage()
        problems: list[str] = []
        summary = previous.summary if previous else ""
        readable = reading_room(self._model, self._reply, task)
        for history in chunks(steps, readable * 2 // 3):
            question = prompts.summary_question(task, clipped(summary, readable // 3), history)
            asked = await self._auxiliary.paragraph(prompts.summary_system(), question)
            usage += asked.usage
            problems.extend(asked.problems)
            summary = asked.part or summary
        return Folding(_plain(steps, previous, clipped(summary, room), ()), usage, tuple(problems))

    def from_log(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Memory:
        """See `Folder.from_log`."""
        return _plain(steps, previous, previous.summary if previous else "", ())


def _plain(steps: Sequence[Step], previous: Memory | None, summary: str, recent: tuple[str, ...]) -> Memory:
    """A memory without the three memories and the ledger."""
    told = [step for step in steps if telling(step)]
    return Memory(
        episodic=EpisodicMemory(task_description="", key_events=(), current_progress=""),
        working=WorkingMemory(immediate_goal="", current_challenges="", next_actions=()),
        steps=(previous.steps if previous else 0) + len(told),
        failed=(previous.failed if previous else 0)
        + sum(step.observation is not None and not step.observation.ok for step in told),
        tools=in_use(steps, previous),
        summary=summary,
        recent=recent,
    )
