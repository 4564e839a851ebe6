"""What runs teach of their tools, and what later runs are told of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepagent.errors import StoreError
from deepagent.memory.schema import Memory, ToolRecord
from deepagent.memory.store import Experience, ExperienceStore, Failure, Note, schema_hash
from deepagent.tools import Tool


class EarlierRuns:
    """Experience of earlier runs as one agent is told of it, and adds to it.

    A file that is broken or locked costs the experience, never a run.

    Args:
        path: where it is kept; it is opened, and made, when it is needed. None tells and learns nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._store: ExperienceStore | None = None

    def close(self) -> None:
        """Close the file."""
        if self._store is not None:
            self._store.close()

    def told(self, tool: Tool) -> str:
        """A line that stands below the tool's card, or nothing."""
        if self._path is None or tool.simulated or not (self._store or self._path.exists()):
            return ""
        try:
            known = self._opened(self._path).of(tool.spec)
        except StoreError:
            return ""
        return "" if known is None else f"\n    {known.line}"

    def learn(self, run: str, memory: Callable[[], Memory], tool: Callable[[str], Tool | None]) -> None:
        """Add what a run that is over has taught (see `lessons`); its memory is made only where it is wanted."""
        taught = [] if self._path is None else lessons(memory(), tool)
        if self._path is None or not taught:
            return
        try:
            self._opened(self._path).learn(run, taught)
        except StoreError:
            self._path = None  # the next run will hardly fare better

    def _opened(self, path: Path) -> ExperienceStore:
        if self._store is None:
            self._store = ExperienceStore(path)
        return self._store


def lessons(memory: Memory, tool: Callable[[str], Tool | None]) -> list[Experience]:
    """Counts, last errors, and notes with the steps that they rest on.

    Args:
        memory: of the whole run.
        tool: the tool of a name; of one that is not there any more, or that was played by a model, nothing is learnt.
    """
    found = []
    for record in memory.tool.tools_used:
        called = tool(record.tool_name)
        if called is not None and not called.simulated:
            found.append(
                Experience(
                    tool=called.name,
                    schema=schema_hash(called.spec),
                    calls=record.calls,
                    errors=_failures(record),
                    notes=_notes(record, memory),
                )
            )
    return found


def _failures(record: ToolRecord) -> tuple[Failure, ...]:
    """The kinds of error; what was said last is told with the kind that came last."""
    last = len(record.errors) - 1
    return tuple(
        Failure(kind=kind, count=count, message=record.last_error if at == last else "")
        for at, (kind, count) in enumerate(record.errors.items())
    )


def _notes(record: ToolRecord, memory: Memory) -> tuple[Note, ...]:
    rules = [
        Note(text=rule.rule, evidence=len(rule.steps))
        for rule in memory.tool.derived_rules
        if record.tool_name in rule.tools
    ]
    own = [Note(text=record.experience, evidence=1)] if record.experience else []
    return (*rules, *own)
