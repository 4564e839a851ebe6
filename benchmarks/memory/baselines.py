"""Other ways to keep a history short, in the same harness."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from deepagent.memory import prompts
from deepagent.memory.asking import Auxiliary
from deepagent.memory.config import FoldConfig
from deepagent.memory.folder import Folder, Folding, MemoryFolder, chunks, reading_room, reply_tokens
from deepagent.memory.plainer import SummaryFolder, Truncation
from deepagent.memory.render import render_memory
from deepagent.memory.schema import DerivedRule, EpisodicNotes, Memory, ToolMemory, ToolNotes, ToolRecord, WorkingMemory
from deepagent.models.base import Model, Usage
from deepagent.runs.steps import Step


class Resummarising:
    """Makes the three memories from the whole history at every fold; no ledger, nothing checked against the log.

    That is what the published code of DeepAgent does.

    Where the history exceeds the auxiliary model's window it is read in pieces, each with the memory of those before.
    """

    def __init__(self, model: Model, config: FoldConfig) -> None:
        self._model = model
        self._reply = reply_tokens(model, config)
        self._auxiliary = Auxiliary(model, self._reply, config.seconds)
        self._history: list[Step] = []

    async def fold(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Folding:
        self._history += steps
        usage, problems = Usage(), []
        memory: Memory | None = None
        readable = reading_room(self._model, self._reply, task)
        for history in chunks(self._history, readable * 2 // 3):
            known = render_memory(memory, readable // 3) if memory else ""
            ask = self._auxiliary.ask

            def question(asked: str, known: str = known, history: str = history) -> str:
                return prompts.question(asked, task, known, history)

            episodic, working, notes = await asyncio.gather(
                ask(EpisodicNotes, prompts.system(), question(prompts.EPISODIC)),
                ask(WorkingMemory, prompts.system(), question(prompts.WORKING)),
                ask(ToolNotes, prompts.system(), question(prompts.TOOL)),
            )
            for asked in (episodic, working, notes):
                usage += asked.usage
                problems += asked.problems
            memory = _memory(episodic.part, working.part, notes.part)
        return Folding(memory or _memory(None, None, None), usage, tuple(problems))

    def from_log(self, task: str, steps: Sequence[Step], previous: Memory | None, room: int) -> Memory:
        raise NotImplementedError("not part of what is compared")


def _memory(episodic: EpisodicNotes | None, working: WorkingMemory | None, notes: ToolNotes | None) -> Memory:
    tools = tuple(
        ToolRecord(
            tool_name=tool.tool_name, calls=0, response_pattern=tool.response_pattern, experience=tool.experience
        )
        for tool in (notes.tools_used if notes else ())
    )
    rules = tuple(DerivedRule(rule=one.rule, steps=one.steps) for one in (notes.derived_rules if notes else ()))
    return Memory(
        episodic=episodic or EpisodicNotes(task_description="", key_events=(), current_progress=""),
        working=working or WorkingMemory(immediate_goal="", current_challenges="", next_actions=()),
        tool=ToolMemory(tools_used=tools, derived_rules=rules),
    )


METHODS: dict[str, Callable[[Model, FoldConfig], Folder]] = {
    "ours": MemoryFolder,
    "re-summarise everything": Resummarising,
    "one-paragraph summary": SummaryFolder,
    "truncation": lambda model, config: Truncation(),
}
