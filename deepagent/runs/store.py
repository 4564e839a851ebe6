"""Where runs are kept: one SQLite file in WAL mode, written before effects show.

There is one table of truth, `events`; what a run is and how it ended is read from it. Each append is one transaction.
A killed process loses nothing that was appended; a power cut may lose the last moments, but never tears an event.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from deepagent.actions import Frozen
from deepagent.errors import StoreError, UsageError
from deepagent.runs.events import EVENT, Ended, Event, Recorded, Started

_FORMAT = 1
FILE = "file:"
"""How the id of an artifact begins that is a file of the workspace."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    run TEXT NOT NULL, sequence INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_kind ON events (kind, run);
CREATE TABLE IF NOT EXISTS artifacts (
    run TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (run, id)
) WITHOUT ROWID;
"""


class RunSummary(Frozen):
    """A run as listed.

    Attributes:
        at: when it started, seconds since the epoch.
        ended: how it ended, or None while it runs or when its process was killed.
    """

    id: str
    at: float
    started: Started
    ended: Ended | None


class RunStore:
    """All runs of a project.

    Args:
        path: the SQLite file; its folder is created.

    Raises:
        StoreError: the file cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=5, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _FORMAT:
            raise StoreError(f"{self.path} has format {found}, this version reads up to {_FORMAT}; upgrade deepagent")
        self._connection.executescript(_SCHEMA)
        self._connection.execute(f"PRAGMA user_version={_FORMAT}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def new_run(self) -> RunLog:
        """The log of a new run; nothing is written before its first event."""
        return RunLog(self, f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}")

    def append(self, run: str, sequence: int, events: tuple[Event, ...]) -> list[Recorded]:
        """Write events in one transaction, the first at `sequence`."""
        recorded = [
            Recorded(sequence=sequence + offset, at=time.time(), event=event) for offset, event in enumerate(events)
        ]
        values: list[object] = []
        rows = ", ".join(["(?, ?, ?, ?, ?)"] * len(recorded))
        with _translated(self.path):  # one statement is a transaction by itself
            for one in recorded:
                values += (run, one.sequence, one.at, one.event.kind, one.event.model_dump_json(exclude_none=True))
            self._connection.execute(f"INSERT INTO events VALUES {rows}", values)  # noqa: S608 (only question marks)
        return recorded

    def events(self, run: str) -> list[Recorded]:
        """All events of a run, in order."""
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT sequence, at, body FROM events WHERE run = ? ORDER BY sequence", (run,)
            ).fetchall()
        return [Recorded(sequence=sequence, at=at, event=_read(body, run)) for sequence, at, body in rows]

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The newest runs, newest first."""
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT s.run, s.at, s.body, e.body FROM events s"
                " LEFT JOIN events e ON e.run = s.run AND e.kind = 'ended'"
                " WHERE s.kind = 'started' ORDER BY s.at DESC, s.run DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [_summary(*row) for row in rows]

    def resolve(self, prefix: str) -> str:
        """The id of the one run that starts or ends with the text; `last` is the newest.

        Raises:
            UsageError: none or several do.
        """
        if prefix == "last":
            newest = self.runs(limit=1)
            if not newest:
                raise UsageError(f"no runs in {self.path} yet")
            return newest[0].id
        with _translated(self.path):
            known = [row[0] for row in self._connection.execute("SELECT run FROM events WHERE kind = 'started'")]
        found = [run for run in known if run == prefix] or [
            run for run in known if prefix and (run.startswith(prefix) or run.endswith(prefix))
        ]
        if len(found) != 1:
            count = "no run matches" if not found else f"{len(found)} runs match"
            raise UsageError(f"{count} {prefix!r}; `deepagent runs list` shows their ids")
        return str(found[0])

    def keep(self, run: str, id: str, content: str | bytes) -> None:
        """Keep a result too large for the stream, or a file."""
        with _translated(self.path):
            self._connection.execute("INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?)", (run, id, content))

    def artifact(self, run: str, id: str) -> str | None:
        """The full text that was kept under this id."""
        with _translated(self.path):
            row = self._connection.execute("SELECT text FROM artifacts WHERE run = ? AND id = ?", (run, id)).fetchone()
        if row is None:
            return None
        return row[0].decode(errors="replace") if isinstance(row[0], bytes) else str(row[0])

    def files(self, run: str) -> dict[str, bytes]:
        """The files that code left in the run's workspace, by name."""
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT id, text FROM artifacts WHERE run = ? AND id GLOB ? ORDER BY id", (run, f"{FILE}*")
            ).fetchall()
        return {id.removeprefix(FILE): content for id, content in rows}


class RunLog:
    """One run's log while the run is alive: appends, keeps artifacts, tells listeners."""

    def __init__(self, store: RunStore, id: str) -> None:
        self.id = id
        self.events: list[Event] = []
        self.listeners: list[Callable[[Event], None]] = []
        self._store = store

    def append(self, *events: Event) -> None:
        """Write events, all or none, before anyone sees them."""
        self._store.append(self.id, len(self.events) + 1, events)
        for event in events:
            self.events.append(event)
            for listener in self.listeners:
                listener(event)

    def keep(self, id: str, content: str | bytes) -> None:
        """Keep a text or a file as an artifact of this run."""
        self._store.keep(self.id, id, content)

    def artifact(self, id: str) -> str | None:
        """The artifact's full text, or None."""
        return self._store.artifact(self.id, id)


def _summary(run: str, at: float, started: str, ended: str | None) -> RunSummary:
    first = _read(started, run)
    last = _read(ended, run) if ended else None
    if not isinstance(first, Started) or not (last is None or isinstance(last, Ended)):
        raise StoreError(f"run {run}: its first or last event is of the wrong kind; the file was changed by hand")
    return RunSummary(id=run, at=at, started=first, ended=last)


def _read(body: str, run: str) -> Event:
    try:
        return EVENT.validate_json(body)
    except ValidationError as error:
        raise StoreError(f"run {run}: an event cannot be read ({error.error_count()} problems in it)") from error


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, PydanticSerializationError) as error:
        raise StoreError(f"run store {path}: {error}; check the disk, its permissions and free space") from error
