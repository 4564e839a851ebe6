"""Memory put together: the log's facts everywhere, and the narrative of old and new folds where it bears them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deepagent.memory.checks import CheckedNotes
from deepagent.memory.counts import counted, uses
from deepagent.memory.ledger import cite, entries, select, shorten
from deepagent.memory.schema import (
    DerivedRule,
    EpisodicMemory,
    EpisodicNotes,
    KeyEvent,
    LedgerEntry,
    Memory,
    ToolMemory,
    ToolRecord,
    WorkingMemory,
    one_line,
)
from deepagent.runs.steps import Step

_EVENTS = 8
_RULES = 6
_TOOLS = 20
_COUNTED = 200
"""Tools whose counts are carried on; memory shows fewer."""
_SHORT = 120
_THOUGHT_CHARS = 300
_NO_PLAN = WorkingMemory(immediate_goal="", current_challenges="", next_actions=())


@dataclass(frozen=True)
class Narrative:
    """The words of folds so far.

    Attributes:
        words: of each tool, response pattern and experience.
        cited: steps that were cited since the fold before, as often as they were.
        told: whether a model said anything since then.
    """

    task: str = ""
    progress: str = ""
    events: tuple[KeyEvent, ...] = ()
    working: WorkingMemory | None = None
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    rules: tuple[DerivedRule, ...] = ()
    cited: tuple[int, ...] = ()
    told: bool = False

    @classmethod
    def of(cls, memory: Memory | None) -> Narrative:
        """The words of an earlier memory; what it wanted to do next is over."""
        if memory is None:
            return cls()
        return cls(
            task=memory.episodic.task_description,
            progress=memory.episodic.current_progress,
            events=memory.episodic.key_events,
            words={tool.tool_name: (tool.response_pattern, tool.experience) for tool in memory.tool.tools_used},
            rules=memory.tool.derived_rules,
        )

    def then(
        self, episodic: EpisodicNotes | None, working: WorkingMemory | None, notes: CheckedNotes | None
    ) -> Narrative:
        """With new words, checked against the log, before the old ones."""
        narrative = replace(self, working=working or self.working, told=True)
        if episodic is not None:
            events = {event.step: event for event in (*self.events, *episodic.key_events)}
            newest = sorted(events.values(), key=lambda event: int(event.step))[-_EVENTS:]
            narrative = replace(
                narrative,
                task=episodic.task_description or self.task,
                progress=episodic.current_progress or self.progress,
                events=tuple(newest),
                cited=(*narrative.cited, *(int(event.step) for event in episodic.key_events)),
            )
        if notes is not None:
            words = dict(self.words)
            for tool in notes.tools:
                pattern, experience = words.get(tool.tool_name, ("", ""))
                words[tool.tool_name] = tool.response_pattern or pattern, tool.experience or experience
            rules = {" ".join(rule.rule.lower().split()): rule for rule in (*self.rules[::-1], *notes.rules[::-1])}
            narrative = replace(
                narrative,
                words=words,
                rules=tuple(rules.values())[::-1][:_RULES],
                cited=(*narrative.cited, *(int(step) for rule in notes.rules for step in rule.steps)),
            )
        return narrative

    def over(self, memory: Memory | None) -> Memory:
        """An earlier memory with these words: what the next piece of history is read with."""
        return Memory(
            episodic=self._episodic,
            working=self.working or (memory.working if memory else _NO_PLAN),
            tool=self.tool(memory.tool.tools_used if memory else ()),
            ledger=memory.ledger if memory else (),
            steps=memory.steps if memory else 0,
            failed=memory.failed if memory else 0,
        )

    @property
    def _episodic(self) -> EpisodicMemory:
        return EpisodicMemory(task_description=self.task, key_events=self.events, current_progress=self.progress)

    def tool(self, records: Sequence[ToolRecord]) -> ToolMemory:
        """Counted records with these words."""
        told = []
        for record in records[-_COUNTED:]:
            pattern, experience = self.words.get(record.tool_name, ("", ""))
            told.append(record.model_copy(update={"response_pattern": pattern, "experience": experience}))
        return ToolMemory(tools_used=tuple(told), derived_rules=self.rules)


def merged(
    task: str,
    steps: Sequence[Step],
    previous: Memory | None,
    narrative: Narrative,
    room: int,
    *,
    tool_memory: bool = True,
) -> Memory:
    """New memory: facts of the old one and of these steps, and the narrative; what nobody told is said by the log.

    Args:
        task: the task statement.
        steps: the steps since the memory before.
        previous: that memory.
        narrative: the words, checked.
        room: bytes that the ledger may take.
        tool_memory: whether there is one.
    """
    new = entries(steps, task)
    ledger = cite([*(previous.ledger if previous else ()), *new], narrative.cited)
    records = counted(steps, previous.tool.tools_used if previous else ()) if tool_memory else []
    return Memory(
        episodic=EpisodicMemory(
            task_description=narrative.task or shorten(task, _SHORT),
            key_events=narrative.events,
            current_progress=narrative.progress,
        ),
        working=_working(narrative.working, ledger),
        tool=narrative.tool(records) if tool_memory else ToolMemory(),
        ledger=select(ledger, room),
        steps=(previous.steps if previous else 0) + len(new),
        failed=(previous.failed if previous else 0) + sum(not entry.ok for entry in new),
        tools=in_use(steps, previous),
        thought=_last_thought(steps) or (previous.thought if previous else ""),
    )


def from_log(
    task: str, steps: Sequence[Step], previous: Memory | None, room: int, *, tool_memory: bool = True
) -> Memory:
    """Memory without any model: what the log knows, and the words of the fold before."""
    return merged(task, steps, previous, Narrative.of(previous), room, tool_memory=tool_memory)


def in_use(steps: Sequence[Step], previous: Memory | None) -> tuple[str, ...]:
    """Names of the tools that were called, the one called last at the end."""
    names = dict.fromkeys(previous.tools if previous else ())
    for step in steps:
        for use in uses(step):
            names.pop(use.name, None)
            names[use.name] = None
    return tuple(names)[-_TOOLS:]


def _last_thought(steps: Sequence[Step]) -> str:
    """The end of the newest thought, since thoughts end with what they come to."""
    thought = next((step.thought for step in reversed(steps) if step.thought.strip()), "")
    return one_line(thought)[-_THOUGHT_CHARS:]


def _working(told: WorkingMemory | None, ledger: Sequence[LedgerEntry]) -> WorkingMemory:
    """What was told; what is lacking is taken from the log."""
    failed = next((entry.result for entry in reversed(ledger) if not entry.ok), "")
    goal, challenges, actions = (
        (told.immediate_goal, told.current_challenges, told.next_actions) if told else ("", "", ())
    )
    return WorkingMemory(
        immediate_goal=goal or "go on with the task from the last step in the log",
        current_challenges=challenges or (shorten(failed, _SHORT) if failed else "none known"),
        next_actions=actions,
    )
