"""Where runs are kept: one SQLite file, written before effects show.

There is one table of truth, `records`; what is listed is derived from it in the same transaction. Each append is one
transaction. A killed process loses nothing that was appended; a power cut may lose the last moments, except what was
synced before an effect, but never tears an event. Many processes of one machine may write to one file at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic_core import PydanticSerializationError

from deepagent.database import Database, TakenError
from deepagent.errors import StoreError, UsageError
from deepagent.runs import codec, owners, schema
from deepagent.runs.decisions import Decisions
from deepagent.runs.events import (
    ApprovalAsked,
    ApprovalGiven,
    Ended,
    Event,
    Recorded,
    Resumed,
    Started,
)
from deepagent.runs.log import FILE, WORKSPACE, RunLog
from deepagent.runs.owners import Owner
from deepagent.runs.schema import key
from deepagent.runs.steps import beginning_of, elapsed
from deepagent.runs.summary import RunFilter, RunSummary

_STORED = re.compile(r"r(\d+)")
"""Id of the artifact that is the whole result of a step."""
_PAGE = 200
"""Runs that are read at once where all of them are wanted."""
_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?)"
_SUMMARY = """
SELECT number, id, at, task, model, benchmark, parent, ended, status,
    status IS NULL AND alive(owner, beat),
    (SELECT count(*) FROM approvals WHERE run = number AND approved IS NULL)
FROM runs
"""
_NOTED = frozenset((Started, Resumed, Ended, ApprovalAsked, ApprovalGiven))
"""Events that change what is listed."""


class RunStore:
    """All runs of a project.

    Args:
        path: the SQLite file; its folder is created.

    Attributes:
        decisions: tool calls that wait for approval, and what was decided.

    Raises:
        StoreError: the file cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers: dict[str, int] = {}
        self._appended = self._synced = 0
        self._syncing = asyncio.Lock()
        self._database = Database(path, "run store", schema.UPGRADES)
        self._database.connection.create_function("alive", 2, _alive)
        self.decisions = Decisions(self._database, self._number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def new_run(self) -> RunLog:
        """The log of a new run; nothing is written before its first event."""
        return RunLog(self, _new_id())

    def open_run(self, run: str) -> RunLog:
        """The log of a run that is to go on, with its events; it belongs to this process from now on.

        Raises:
            UsageError: there is no such run, or another process works on it.
            StoreError: its events cannot be read.
        """
        log = RunLog(self, run)
        number, database = self._number(run), self._database
        with database.transaction(), database.translated():
            held, beat = database.rows("SELECT owner, beat FROM runs WHERE number = ?", (number,))[0]
            if _alive(held, beat):
                pid = Owner.model_validate_json(held).pid
                raise UsageError(f"run {run} is at work in process {pid}; wait for it, or end it first")
            values = log.owner.model_dump_json(), owners.heartbeat(), number
            database.execute("UPDATE runs SET owner = ?, beat = ? WHERE number = ?", values)
        try:
            recorded = self.events(run)
            log.length, log.elapsed = len(recorded), elapsed(recorded)
        except BaseException:
            log.release()
            raise
        return log

    def fork(self, run: str, at: int) -> str:
        """Copy a run up to a step; the copy is a run of its own, that can be resumed with other settings.

        Args:
            run: its id.
            at: the first step that is not copied; where a reply asked for several at a time, all of them are not.

        Returns:
            The id of the copy.

        Raises:
            UsageError: there is no such run or step.
        """
        recorded, copy = self.events(run), _new_id()
        first = recorded[0].event
        cut = beginning_of([one.event for one in recorded], at)
        if cut is None or not isinstance(first, Started):
            raise UsageError(f"run {run} has no step {at} to go on from; `deepagent runs show {run}` tells its steps")
        first = first.model_copy(update={"run": copy, "parent": run, "forked_at": at})
        kept = [id for id in self._artifacts(run) if not (number := _STORED.match(id)) or int(number[1]) < at]
        database = self._database
        with database.transaction():
            self._note(copy, first, time.time(), None)
            old, new = self._number(run), self._number(copy)
            database.execute(_INSERT, (key(new, 1), 1, recorded[0].at, codec.pack([first])))
            database.execute(
                "INSERT INTO records SELECT key + ?, count, at, body FROM records WHERE key > ? AND key < ?",
                (key(new - old, 0), key(old, 1), key(old, recorded[cut].sequence)),
            )
            for id in kept:
                select = "SELECT ?, id, text FROM artifacts WHERE run = ? AND id = ?"
                database.execute(f"INSERT INTO artifacts {select}", (copy, run, id))
        return copy

    def _artifacts(self, run: str) -> list[str]:
        """Ids of what was kept, but for the list of the workspace's files: they are those of the end."""
        rows = self._database.rows("SELECT id FROM artifacts WHERE run = ? AND id != ?", (run, WORKSPACE))
        return [id for (id,) in rows]

    def append(
        self, run: str, sequence: int, events: tuple[Event, ...], *, at: float | None = None, owner: Owner | None = None
    ) -> None:
        """Write events in one transaction, the first at `sequence`.

        Raises:
            StoreError: the disk takes it no more, or another process has gone on with this run.
        """
        at = time.time() if at is None else at
        self._appended += 1
        try:
            body = codec.pack(events)
            if _NOTED.isdisjoint(map(type, events)):  # one statement is a transaction by itself
                self._database.execute(_INSERT, (key(self._number(run), sequence), len(events), at, body))
                return
            with self._database.transaction():
                for event in events:
                    self._note(run, event, at, owner)
                self._database.execute(_INSERT, (key(self._number(run), sequence), len(events), at, body))
        except TakenError as error:
            raise StoreError(f"run {run}: another process has gone on with it; this one stops") from error
        except PydanticSerializationError as error:
            raise self._database.told(error) from error

    async def sync(self) -> None:
        """Wait until what was appended would survive a power cut; all who wait at one time share one sync.

        Raises:
            StoreError: the disk does not take it.
        """
        wanted = self._appended
        async with self._syncing:
            if self._synced < wanted:
                reached = self._appended
                with self._database.translated():
                    await asyncio.to_thread(_sync, Path(f"{self.path}-wal"))
                self._synced = reached

    def _note(self, run: str, event: Event, at: float, owner: Owner | None) -> None:
        """Keep what is listed in step with the events."""
        execute = self._database.execute
        if isinstance(event, Started):
            held, beat = (owner.model_dump_json() if owner else None), owners.heartbeat()
            task = event.task[: schema.TASK_CHARS]
            execute(
                "INSERT INTO runs (id, at, task, model, benchmark, parent, owner, beat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (run, at, task, event.model, event.benchmark, event.parent, held, beat),
            )
        elif isinstance(event, Resumed):
            values: tuple[Any, ...] = event.model, self._number(run)
            execute("UPDATE runs SET status = NULL, ended = NULL, model = ? WHERE number = ?", values)
        elif isinstance(event, Ended):
            values = event.status, event.model_dump_json(exclude_none=True), self._number(run)
            execute("UPDATE runs SET status = ?, ended = ? WHERE number = ?", values)
        elif isinstance(event, (ApprovalAsked, ApprovalGiven)):
            self.decisions.note(run, event)

    def events(self, run: str, after: int = 0) -> list[Recorded]:
        """The events of a run in order, those with a sequence above `after`; another process may be writing more.

        Raises:
            UsageError: there is no such run.
            StoreError: an event is damaged or missing.
        """
        number = self._number(run)
        rows = self._database.rows(
            "SELECT key, count, at, body FROM records WHERE key < ? AND key >="
            " (SELECT coalesce(max(key), 0) FROM records WHERE key BETWEEN ? AND ?) ORDER BY key",
            (key(number + 1, 0), key(number, 0), key(number, after + 1)),
        )
        recorded = []
        awaited = None if after else 1
        for found, count, at, body in rows:
            sequence = found - key(number, 0)
            if sequence < 0:
                continue  # of an earlier run: nothing of this one is there yet
            events = _read(body, run)
            if len(events) != count or sequence != (awaited or sequence):
                raise StoreError(f"run {run}: an event before number {sequence} is missing; the file is damaged")
            awaited = sequence + count
            recorded += [Recorded(sequence=sequence + n, at=at, event=event) for n, event in enumerate(events)]
        return [one for one in recorded if one.sequence > after]

    def length(self, run: str) -> int:
        """How many events a run has so far.

        Raises:
            UsageError: there is no such run.
        """
        number = self._number(run)
        query = "SELECT key, count FROM records WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1"
        row = self._database.row(query, (key(number, 0), key(number + 1, -1)))
        return 0 if row is None else int(row[0]) - key(number, 0) + int(row[1]) - 1

    def runs(self, limit: int = 50, *, offset: int = 0, only: RunFilter | None = None) -> list[RunSummary]:
        """A page of runs, newest first."""
        where, values = (only or RunFilter()).where()
        rows = self._database.rows(
            f"{_SUMMARY} WHERE {where} ORDER BY number DESC LIMIT :limit OFFSET :offset",
            {**values, "limit": limit, "offset": offset},
        )
        return [self._summary(*row) for row in rows]

    def every(self, only: RunFilter | None = None) -> Iterator[RunSummary]:
        """All runs, newest first; those that begin meanwhile are not among them, and move none."""
        where, values = (only or RunFilter()).where()
        below = self._database.rows("SELECT coalesce(max(number), 0) + 1 FROM runs")[0][0]
        while rows := self._database.rows(
            f"{_SUMMARY} WHERE {where} AND number < :below ORDER BY number DESC LIMIT :limit",
            {**values, "below": below, "limit": _PAGE},
        ):
            yield from (self._summary(*row) for row in rows)
            below = rows[-1][0]

    def count(self, only: RunFilter | None = None) -> int:
        """How many runs there are."""
        where, values = (only or RunFilter()).where()
        query = f"SELECT count(*) FROM runs WHERE {where}"  # noqa: S608 (made of our own words)
        return int(self._database.rows(query, values)[0][0])

    def values(self, what: Literal["model", "benchmark"]) -> list[str]:
        """What runs can be told apart by: the models that they used, or the benchmarks that they are of."""
        column = {"model": "model", "benchmark": "substr(benchmark, 1, instr(benchmark || '/', '/') - 1)"}[what]
        query = f"SELECT DISTINCT {column} FROM runs WHERE {what} IS NOT NULL ORDER BY 1"  # noqa: S608 (our words)
        return [str(row[0]) for row in self._database.rows(query)]

    def summary(self, run: str) -> RunSummary:
        """One run as it stands now: its `state` says whether a process works on it.

        Raises:
            UsageError: there is no such run.
        """
        return self._summary(*self._database.rows(f"{_SUMMARY} WHERE number = ?", (self._number(run),))[0])

    def _summary(self, number: int, *row: Any) -> RunSummary:
        run, at, task, model, benchmark, parent, ended, status, alive, pending = row
        state = status or ("dead" if not alive else "waiting" if pending else "running")
        with self._database.translated():
            last = Ended.model_validate_json(ended) if ended else None
            return RunSummary(
                id=run, at=at, task=task, model=model, benchmark=benchmark, parent=parent, state=state, ended=last,
                steps=last.steps if last else self._steps_of(number, run), pending=pending,
            )  # fmt: skip

    def _steps_of(self, number: int, run: str) -> int:
        """How far a run is that has not ended, by its newest events."""
        rows = self._database.rows(
            "SELECT body FROM records WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 3",
            (key(number, 0), key(number + 1, -1)),
        )
        events = [event for (body,) in rows for event in _read(body, run)]
        return max((getattr(event, "step", 0) for event in events), default=0)

    def resolve(self, prefix: str) -> str:
        """The id of the one run that starts or ends with the text; `last` is the newest.

        Raises:
            UsageError: none or several do.
        """
        if prefix == "last":
            newest = self.runs(limit=1)
            if not newest:
                raise UsageError(f"no runs in {self.path} yet: `deepagent run TASK` makes one")
            return newest[0].id
        rows = self._database.rows(
            "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 OR substr(id, -length(?1)) = ?1", (prefix,)
        )
        known = [str(row[0]) for row in rows] if prefix else []
        found = [run for run in known if run == prefix] or known
        if len(found) != 1:
            count = "no run matches" if not found else f"{len(found)} runs match"
            raise UsageError(f"{count} {prefix!r}; `deepagent runs list` shows their ids")
        return found[0]

    def keep(self, run: str, id: str, content: str | bytes) -> None:
        """Keep a result too large for the stream, or a file."""
        self._database.execute("INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?)", (run, id, content))

    def artifact(self, run: str, id: str) -> str | None:
        """The full text that was kept under this id."""
        row = self._database.row("SELECT text FROM artifacts WHERE run = ? AND id = ?", (run, id))
        if row is None:
            return None
        return row[0].decode(errors="replace") if isinstance(row[0], bytes) else str(row[0])

    def keep_files(self, run: str, files: Mapping[str, bytes], kind: str = FILE) -> None:
        """Keep files by name, all or none."""
        with self._database.transaction():
            for name, content in files.items():
                self.keep(run, f"{kind}{name}", content)

    def files(self, run: str, kind: str = FILE) -> dict[str, bytes]:
        """The files that code left in the run's workspace, by name."""
        rows = self._database.rows(
            "SELECT id, text FROM artifacts WHERE run = ? AND id GLOB ? ORDER BY id", (run, f"{kind}*")
        )
        return {id.removeprefix(kind): content for id, content in rows}

    def release(self, run: str, owner: Owner) -> None:
        """A process works on a run no more."""
        values = run, owner.model_dump_json()
        self._database.execute("UPDATE runs SET owner = NULL WHERE id = ? AND owner = ?", values)

    def beat(self, run: str, owner: Owner) -> None:
        """Say that a process still works on a run, to those that cannot see it."""
        values = owners.heartbeat(), run, owner.model_dump_json()
        self._database.execute("UPDATE runs SET beat = ? WHERE id = ? AND owner = ?", values)

    def _number(self, run: str) -> int:
        number = self._numbers.get(run)
        if number is None:
            row = self._database.row("SELECT number FROM runs WHERE id = ?", (run,))
            if row is None:
                raise UsageError(f"there is no run {run!r} in {self.path}; `deepagent runs list` shows what there is")
            number = int(row[0])
            if not self._database.connection.in_transaction:  # else it may have been given in vain
                self._numbers[run] = number
        return number


def _new_id() -> str:
    """Of a run: when it began, and enough chance to tell apart what begins in one second."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


def _sync(path: Path) -> None:
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    except FileNotFoundError:
        pass  # all of it is in the main file, which SQLite syncs itself


def _alive(owner: str | None, beat: float) -> bool:
    return owner is not None and owners.alive(Owner.model_validate_json(owner), beat)


def _read(body: bytes | str, run: str) -> tuple[Event, ...]:
    try:
        return codec.unpack(body)
    except ValueError as error:
        raise StoreError(f"run {run}: an event cannot be read: {error}") from error
