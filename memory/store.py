"""Experience with tools that outlives a run: how often each was called, how it failed, and what was noted of it.

It is kept by tool and by the hash of its parameters' schema: what was learnt of one version says nothing of another.
Notes were written by a model that had read tool results, so they are hostile text: one line, cut, offered as an
observation and as unverified, and every one of them rests on steps of a run. Notes that say the same are one, with the
evidence of all; evidence fades, so that what is not seen again makes room.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import Field

from deepagent.actions import Frozen
from deepagent.database import Database
from deepagent.memory.schema import one_line
from deepagent.retrieval.text import words
from deepagent.tools import ToolSpec

NOTES = 5
"""Notes that are kept of one tool."""
_ERRORS = 5
_TEXT = 160
_HALF_LIFE = 30 * 86_400.0
"""Seconds after which the evidence of a note counts half."""
_LEAST = 0.25
_STALE = 365 * 86_400.0
"""Seconds after which a tool that was not used is forgotten."""
_ALIKE = 0.7
"""Share of words in common from which two notes say the same (Jaccard index)."""

_UPGRADES = {
    0: """
    CREATE TABLE tools (
        tool TEXT NOT NULL, schema TEXT NOT NULL, calls INTEGER NOT NULL, runs INTEGER NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (tool, schema)
    ) WITHOUT ROWID;
    CREATE TABLE errors (
        tool TEXT NOT NULL, schema TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL, message TEXT NOT NULL,
        at REAL NOT NULL, PRIMARY KEY (tool, schema, kind)
    ) WITHOUT ROWID;
    CREATE TABLE notes (
        tool TEXT NOT NULL, schema TEXT NOT NULL, text TEXT NOT NULL, evidence REAL NOT NULL, runs INTEGER NOT NULL,
        at REAL NOT NULL, PRIMARY KEY (tool, schema, text)
    ) WITHOUT ROWID;
    CREATE TABLE learnt (run TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
    """,
}


class Failure(Frozen):
    """One kind of error: how often it came, and what was said last."""

    kind: str
    count: int
    message: str = ""


class Note(Frozen):
    """Something that was noted.

    Attributes:
        evidence: steps that it rests on; older ones count less.
        runs: how many runs came to it.
    """

    text: str
    evidence: float
    runs: int = 1


class Experience(Frozen):
    """What is known of one tool with one schema: of a single run, or of all.

    Attributes:
        at: when it was used last, seconds since the epoch.
    """

    tool: str
    schema_: str = Field(alias="schema")
    calls: int
    runs: int = 1
    errors: tuple[Failure, ...] = ()
    notes: tuple[Note, ...] = ()
    at: float = 0.0

    @property
    def failed(self) -> int:
        """Calls that failed."""
        return sum(error.count for error in self.errors)

    @property
    def line(self) -> str:
        """What is offered with the tool's card."""
        parts = [f"{self.calls} calls, {1 - self.failed / self.calls:.0%} succeeded" if self.calls else "no calls"]
        parts += [f"failed with {error.kind}: {error.message}" for error in self.errors[:1]]
        parts += [f"noted: {note.text}" for note in self.notes[:2]]
        return f"Earlier runs (unverified): {'; '.join(parts)}"


class ExperienceStore:
    """All experience of a project. Many processes may use one file.

    Args:
        path: the SQLite file; its folder is created.
        clock: seconds since the epoch; tests pass their own.

    Raises:
        StoreError: the file cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._database = Database(path, "experience", _UPGRADES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def learn(self, run: str, lessons: Sequence[Experience]) -> None:
        """Add what one run has taught; a run that is learnt from already, before a resume perhaps, adds nothing."""
        now, database = self._clock(), self._database
        with database.transaction():
            if not database.execute("INSERT OR IGNORE INTO learnt VALUES (?, ?)", (run, now)):
                return
            for lesson in lessons:
                self._add(lesson, now)
            database.execute("DELETE FROM learnt WHERE at < ?", (now - _STALE,))
            for key in database.rows("SELECT tool, schema FROM tools WHERE at < ?", (now - _STALE,)):
                self._delete(key)

    def of(self, spec: ToolSpec) -> Experience | None:
        """What is known of a tool as it is now."""
        return self._read(spec.name, schema_hash(spec))

    def all(self, tool: str | None = None) -> list[Experience]:
        """Everything, or all of one tool, by name; the schema used last first."""
        keys = self._database.rows(
            "SELECT tool, schema FROM tools WHERE ?1 IS NULL OR tool = ?1 ORDER BY tool, at DESC", (tool,)
        )
        found = [self._read(*key) for key in keys]
        return [one for one in found if one is not None]

    def forget(self, tool: str | None = None) -> int:
        """Forget one tool, or all; returns how many tools and schemas that were."""
        with self._database.transaction():
            keys = self._database.rows("SELECT tool, schema FROM tools WHERE ?1 IS NULL OR tool = ?1", (tool,))
            for key in keys:
                self._delete(key)
        return len(keys)

    def _add(self, lesson: Experience, now: float) -> None:
        key = lesson.tool, lesson.schema_
        self._database.execute(
            "INSERT INTO tools VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET"
            " calls = calls + excluded.calls, runs = runs + 1, at = excluded.at",
            (*key, lesson.calls, now),
        )
        for error in lesson.errors:
            self._database.execute(
                "INSERT INTO errors VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " count = count + excluded.count, at = excluded.at,"
                " message = CASE excluded.message WHEN '' THEN message ELSE excluded.message END",
                (*key, _safe(error.kind), error.count, _safe(error.message), now),
            )
        self._merge_notes(key, lesson.notes, now)

    def _merge_notes(self, key: tuple[str, str], new: Sequence[Note], now: float) -> None:
        """Old notes with faded evidence and new ones; those that say the same are one, the best are kept."""
        rows = self._database.rows("SELECT text, evidence, runs, at FROM notes WHERE tool = ? AND schema = ?", key)
        notes = {text: (_faded(evidence, now - at), runs, at) for text, evidence, runs, at in rows}
        for note in new:
            text = _safe(note.text)
            if not text:
                continue
            same = next((known for known in notes if _alike(known, text)), text)
            evidence, runs, _ = notes.get(same, (0.0, 0, now))
            notes[same] = evidence + note.evidence, runs + 1, now
        best = sorted(notes.items(), key=lambda item: -item[1][0])[:NOTES]
        self._database.execute("DELETE FROM notes WHERE tool = ? AND schema = ?", key)
        for text, (evidence, runs, _) in best:
            if evidence >= _LEAST:
                values = (*key, text, evidence, runs, now)
                self._database.execute("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)", values)

    def _read(self, tool: str, schema: str) -> Experience | None:
        rows, key, now = self._database.rows, (tool, schema), self._clock()
        counted = self._database.row("SELECT calls, runs, at FROM tools WHERE tool = ? AND schema = ?", key)
        if counted is None:
            return None
        errors = rows(
            "SELECT kind, count, message FROM errors WHERE tool = ? AND schema = ? ORDER BY at DESC, count DESC, kind"
            " LIMIT ?", (*key, _ERRORS),
        )  # fmt: skip
        noted = rows("SELECT text, evidence, runs, at FROM notes WHERE tool = ? AND schema = ?", key)
        with self._database.translated():
            notes = [
                Note(text=text, evidence=round(_faded(evidence, now - at), 2), runs=runs)
                for text, evidence, runs, at in noted
            ]
            return Experience(
                tool=tool,
                schema=schema,
                calls=counted[0],
                runs=counted[1],
                at=counted[2],
                errors=tuple(Failure(kind=kind, count=count, message=message) for kind, count, message in errors),
                notes=tuple(sorted((note for note in notes if note.evidence >= _LEAST), key=_by_evidence)),
            )

    def _delete(self, key: tuple[Any, ...]) -> None:
        for table in ("tools", "errors", "notes"):
            delete = f"DELETE FROM {table} WHERE tool = ? AND schema = ?"  # noqa: S608 (names of our own)
            self._database.execute(delete, key)


def schema_hash(spec: ToolSpec) -> str:
    """16 digits that change when the tool's parameters do."""
    return hashlib.sha256(json.dumps(spec.parameters, sort_keys=True).encode()).hexdigest()[:16]


def _by_evidence(note: Note) -> tuple[float, str]:
    return -note.evidence, note.text


def _safe(text: str) -> str:
    return one_line(text)[:_TEXT]


def _faded(evidence: float, seconds: float) -> float:
    return float(evidence * 0.5 ** (max(0.0, seconds) / _HALF_LIFE))


def _alike(one: str, other: str) -> bool:
    first, second = set(words(one)), set(words(other))
    return one == other or (bool(first & second) and len(first & second) / len(first | second) >= _ALIKE)
