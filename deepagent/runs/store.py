"""Where runs are kept: one SQLite file in WAL mode, written before effects show.

There is one table of truth, `records`; what is listed is derived from it in the same transaction. Each append is one
transaction. A killed process loses nothing that was appended; a power cut may lose the last moments, except what was
synced before an effect, but never tears an event. Many processes of one machine may write to one file at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from deepagent.errors import StoreError, UsageError
from deepagent.runs import codec, owners, schema
from deepagent.runs.events import (
    ApprovalAsked,
    ApprovalGiven,
    Ended,
    Event,
    Intended,
    Recorded,
    Replied,
    Resumed,
    Started,
)
from deepagent.runs.owners import Owner
from deepagent.runs.summary import RunFilter, RunSummary

FILE = "file:"
"""How the id of an artifact begins that is a file of the workspace."""
ATTACHED = "attached:"
"""The same for a file that the task came with."""
WORKSPACE = "workspace"
"""Id of the artifact that names the files of the workspace; tools keep files too, which are not there."""
_STORED = re.compile(r"r(\d+)")
"""Id of the artifact that is the whole result of a step."""

_SUMMARY = """
SELECT number, id, at, task, model, benchmark, parent, ended, status,
    status IS NULL AND alive(owner, beat),
    (SELECT count(*) FROM approvals WHERE run = number AND approved IS NULL)
FROM runs
"""
_NOTED = (Started, Resumed, Ended, ApprovalAsked, ApprovalGiven)
"""Events that change what is listed."""


class RunStore:
    """All runs of a project.

    Args:
        path: the SQLite file; its folder is created.

    Raises:
        StoreError: the file cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers: dict[str, int] = {}
        self._appended = self._synced = 0
        self._syncing = asyncio.Lock()
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=5, isolation_level=None)
            try:
                schema.prepare(self._connection, path)
                self._connection.create_function("alive", 2, _alive)
            except BaseException:
                self._connection.close()
                raise

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

    def open_run(self, run: str) -> RunLog:
        """The log of a run that is to go on, with its events; it belongs to this process from now on.

        Raises:
            UsageError: there is no such run, or another process works on it.
            StoreError: its events cannot be read.
        """
        log = RunLog(self, run)
        number = self._number(run)
        with self._transaction() as execute:
            held, beat = execute("SELECT owner, beat FROM runs WHERE number = ?", number).fetchone()
            if _alive(held, beat):
                pid = Owner.model_validate_json(held).pid
                raise UsageError(f"run {run} is at work in process {pid}; wait for it, or end it first")
            execute(
                "UPDATE runs SET owner = ?, beat = ? WHERE number = ?",
                log.owner.model_dump_json(), owners.heartbeat(), number,
            )  # fmt: skip
        try:
            recorded = self.events(run)
            log.length, log.elapsed = len(recorded), _elapsed(recorded)
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
        recorded, copy = self.events(run), self.new_run().id
        first = recorded[0].event
        cut = _beginning_of([one.event for one in recorded], at)
        if cut is None or not isinstance(first, Started):
            raise UsageError(f"run {run} has no step {at} to go on from; `deepagent runs show {run}` tells its steps")
        first = first.model_copy(update={"run": copy, "parent": run, "forked_at": at})
        kept = [id for id in self._artifacts(run) if not (number := _STORED.match(id)) or int(number[1]) < at]
        with self._transaction() as execute:
            self._note(copy, first, time.time(), None, execute)
            old, new = self._number(run), self._number(copy)
            execute(_INSERT, _key(new, 1), 1, recorded[0].at, codec.pack([first]))
            execute(
                "INSERT INTO records SELECT key + ?, count, at, body FROM records WHERE key > ? AND key < ?",
                _key(new - old, 0), _key(old, 1), _key(old, recorded[cut].sequence),
            )  # fmt: skip
            for id in kept:
                select = "SELECT ?, id, text FROM artifacts WHERE run = ? AND id = ?"
                execute(f"INSERT INTO artifacts {select}", copy, run, id)
        return copy

    def _artifacts(self, run: str) -> list[str]:
        """Ids of what was kept, but for the list of the workspace's files: they are those of the end."""
        with _translated(self.path):
            rows = self._connection.execute("SELECT id FROM artifacts WHERE run = ? AND id != ?", (run, WORKSPACE))
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
            with _translated(self.path):
                body = codec.pack(events)
            if not any(isinstance(event, _NOTED) for event in events):  # one statement is a transaction by itself
                with _translated(self.path):
                    self._connection.execute(_INSERT, (_key(self._number(run), sequence), len(events), at, body))
                return
            with self._transaction() as execute:
                for event in events:
                    self._note(run, event, at, owner, execute)
                execute(_INSERT, _key(self._number(run), sequence), len(events), at, body)
        except sqlite3.IntegrityError as error:
            raise StoreError(f"run {run}: another process has gone on with it; this one stops") from error

    async def sync(self) -> None:
        """Wait until what was appended would survive a power cut; all who wait at one time share one sync.

        Raises:
            StoreError: the disk does not take it.
        """
        wanted = self._appended
        async with self._syncing:
            if self._synced < wanted:
                reached = self._appended
                with _translated(self.path):
                    await asyncio.to_thread(_sync, Path(f"{self.path}-wal"))
                self._synced = reached

    def _note(
        self, run: str, event: Event, at: float, owner: Owner | None, execute: Callable[..., sqlite3.Cursor]
    ) -> None:
        """Keep what is listed in step with the events."""
        if isinstance(event, Started):
            held, beat = (owner.model_dump_json() if owner else None), owners.heartbeat()
            task = event.task[: schema.TASK_CHARS]
            execute(
                "INSERT INTO runs (id, at, task, model, benchmark, parent, owner, beat)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                run, at, task, event.model, event.benchmark, event.parent, held, beat,
            )  # fmt: skip
            return
        number = self._number(run)
        if isinstance(event, Resumed):
            execute("UPDATE runs SET status = NULL, ended = NULL, model = ? WHERE number = ?", event.model, number)
        elif isinstance(event, Ended):
            text = event.model_dump_json(exclude_none=True)
            execute("UPDATE runs SET status = ?, ended = ? WHERE number = ?", event.status, text, number)
        elif isinstance(event, ApprovalAsked):
            values = number, event.step, event.call, event.model_dump_json()
            execute("INSERT OR IGNORE INTO approvals (run, step, call, asked) VALUES (?, ?, ?, ?)", *values)
        elif isinstance(event, ApprovalGiven):
            execute(
                "UPDATE approvals SET approved = ?, by = ? WHERE run = ? AND step = ? AND call = ?",
                event.approved, event.by, number, event.step, event.call,
            )  # fmt: skip

    def events(self, run: str, after: int = 0) -> list[Recorded]:
        """The events of a run in order, those with a sequence above `after`; another process may be writing more.

        Raises:
            UsageError: there is no such run.
            StoreError: an event is damaged or missing.
        """
        number = self._number(run)
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT key, count, at, body FROM records WHERE key < ? AND key >="
                " (SELECT coalesce(max(key), 0) FROM records WHERE key BETWEEN ? AND ?) ORDER BY key",
                (_key(number + 1, 0), _key(number, 0), _key(number, after + 1)),
            ).fetchall()
        recorded = []
        awaited = None if after else 1
        for key, count, at, body in rows:
            sequence = key - _key(number, 0)
            if key < _key(number, 0):
                continue  # of an earlier run: nothing of this one is there yet
            events = _read(body, run)
            if len(events) != count or sequence != (awaited or sequence):
                raise StoreError(f"run {run}: an event before number {sequence} is missing; the file is damaged")
            awaited = sequence + count
            recorded += [Recorded(sequence=sequence + n, at=at, event=event) for n, event in enumerate(events)]
        return [one for one in recorded if one.sequence > after]

    def runs(self, limit: int = 50, *, offset: int = 0, only: RunFilter | None = None) -> list[RunSummary]:
        """A page of runs, newest first."""
        where, values = (only or RunFilter()).where()
        with _translated(self.path):
            rows = self._connection.execute(
                f"{_SUMMARY} WHERE {where} ORDER BY number DESC LIMIT :limit OFFSET :offset",
                {**values, "limit": limit, "offset": offset},
            ).fetchall()
        return [self._summary(*row) for row in rows]

    def count(self, only: RunFilter | None = None) -> int:
        """How many runs there are."""
        where, values = (only or RunFilter()).where()
        with _translated(self.path):
            query = f"SELECT count(*) FROM runs WHERE {where}"  # noqa: S608 (made of our own words)
            return int(self._connection.execute(query, values).fetchone()[0])

    def values(self, what: Literal["model", "benchmark"]) -> list[str]:
        """What runs can be told apart by: the models that they used, or the benchmarks that they are of."""
        column = {"model": "model", "benchmark": "substr(benchmark, 1, instr(benchmark || '/', '/') - 1)"}[what]
        with _translated(self.path):
            query = f"SELECT DISTINCT {column} FROM runs WHERE {what} IS NOT NULL ORDER BY 1"  # noqa: S608 (our words)
            return [str(row[0]) for row in self._connection.execute(query)]

    def summary(self, run: str) -> RunSummary:
        """One run as it stands now: its `state` says whether a process works on it.

        Raises:
            UsageError: there is no such run.
        """
        with _translated(self.path):
            row = self._connection.execute(f"{_SUMMARY} WHERE number = ?", (self._number(run),)).fetchone()
        return self._summary(*row)

    def _summary(self, number: int, *row: Any) -> RunSummary:
        run, at, task, model, benchmark, parent, ended, status, alive, pending = row
        state = status or ("dead" if not alive else "waiting" if pending else "running")
        try:
            last = Ended.model_validate_json(ended) if ended else None
            return RunSummary(
                id=run, at=at, task=task, model=model, benchmark=benchmark, parent=parent, state=state, ended=last,
                steps=last.steps if last else self._steps_of(number, run), pending=pending,
            )  # fmt: skip
        except ValidationError as error:
            raise StoreError(
                f"run store {self.path}: its line of run {str(run)!r} is damaged; restore the file from a copy"
            ) from error

    def _steps_of(self, number: int, run: str) -> int:
        """How far a run is that has not ended, by its newest events."""
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT body FROM records WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 3",
                (_key(number, 0), _key(number + 1, -1)),
            ).fetchall()
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
                raise UsageError(f"no runs in {self.path} yet")
            return newest[0].id
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 OR substr(id, -length(?1)) = ?1",
                (prefix,),
            ).fetchall()
        known = [str(row[0]) for row in rows] if prefix else []
        found = [run for run in known if run == prefix] or known
        if len(found) != 1:
            count = "no run matches" if not found else f"{len(found)} runs match"
            raise UsageError(f"{count} {prefix!r}; `deepagent runs list` shows their ids")
        return found[0]

    def pending(self, run: str) -> list[ApprovalAsked]:
        """The tool calls of a run that wait for approval, whether its process is there or was left."""
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT asked FROM approvals WHERE run = ? AND approved IS NULL", (self._number(run),)
            ).fetchall()
        return [ApprovalAsked.model_validate_json(asked) for (asked,) in rows]

    def decide(self, run: str, step: int, call: int = 0, *, approved: bool, by: str) -> None:
        """Approve or refuse a tool call that waits; the run's own process, now or when resumed, goes on with that.

        Args:
            run: its id.
            step: as in `ApprovalAsked`.
            call: as in `ApprovalAsked`.
            approved: the decision.
            by: where it was taken, for the log, such as `page`.

        Raises:
            UsageError: no such call waits.
        """
        number = self._number(run)
        with self._transaction() as execute:
            changed = execute(
                "UPDATE approvals SET approved = ?, by = ?"
                " WHERE run = ? AND step = ? AND call = ? AND approved IS NULL",
                approved, by, number, step, call,
            )  # fmt: skip
        if not changed.rowcount:
            raise UsageError(f"no tool call of step {step} of run {run} waits for approval; it may be decided already")

    def decision(self, run: str, step: int, call: int) -> ApprovalGiven | None:
        """What was decided on a tool call, or None while it waits."""
        with _translated(self.path):
            row = self._connection.execute(
                "SELECT approved, by FROM approvals WHERE run = ? AND step = ? AND call = ? AND approved IS NOT NULL",
                (self._number(run), step, call),
            ).fetchone()
        return None if row is None else ApprovalGiven(step=step, call=call, approved=bool(row[0]), by=row[1])

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

    def keep_files(self, run: str, files: Mapping[str, bytes], kind: str = FILE) -> None:
        """Keep files by name, all or none."""
        with self._transaction() as execute:
            for name, content in files.items():
                execute("INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?)", run, f"{kind}{name}", content)

    def files(self, run: str, kind: str = FILE) -> dict[str, bytes]:
        """The files that code left in the run's workspace, by name."""
        with _translated(self.path):
            rows = self._connection.execute(
                "SELECT id, text FROM artifacts WHERE run = ? AND id GLOB ? ORDER BY id", (run, f"{kind}*")
            ).fetchall()
        return {id.removeprefix(kind): content for id, content in rows}

    def release(self, run: str, owner: Owner) -> None:
        """A process works on a run no more."""
        with _translated(self.path):
            text = owner.model_dump_json()
            self._connection.execute("UPDATE runs SET owner = NULL WHERE id = ? AND owner = ?", (run, text))

    def beat(self, run: str, owner: Owner) -> None:
        """Say that a process still works on a run, to those that cannot see it."""
        with _translated(self.path):
            values = owners.heartbeat(), run, owner.model_dump_json()
            self._connection.execute("UPDATE runs SET beat = ? WHERE id = ? AND owner = ?", values)

    def _number(self, run: str) -> int:
        number = self._numbers.get(run)
        if number is None:
            with _translated(self.path):
                row = self._connection.execute("SELECT number FROM runs WHERE id = ?", (run,)).fetchone()
            if row is None:
                raise UsageError(f"there is no run {run!r} in {self.path}; `deepagent runs list` shows what there is")
            number = self._numbers[run] = int(row[0])
        return number

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Several statements, all or none."""
        connection = self._connection
        with _translated(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield lambda sql, *values: connection.execute(sql, values)
                connection.execute("COMMIT")
            except BaseException:
                self._numbers.clear()  # one may have been given in vain
                if connection.in_transaction:  # SQLite itself gives up on some errors
                    connection.execute("ROLLBACK")
                raise


class RunLog:
    """One run's log while the run is alive: appends, keeps artifacts, tells listeners.

    It holds no events itself, so that a long run takes no more memory than a short one.

    Args:
        store: where it is kept.
        id: the run's.

    Attributes:
        length: how many events there are so far.
        owner: this process, as the one that works on the run.
        elapsed: seconds that were worked on it before, times between processes not counted.
    """

    def __init__(self, store: RunStore, id: str) -> None:
        self.id = id
        self.length = 0
        self.listeners: list[Callable[[Event], None]] = []
        self.owner = owners.claim()
        self._store = store
        self.elapsed = 0.0
        self._clock = time.time() - time.monotonic()  # a clock that is set back must not turn the order around

    def append(self, *events: Event) -> None:
        """Write events, all or none, before anyone sees them."""
        at = self._clock + time.monotonic()
        self._store.append(self.id, self.length + 1, events, at=at, owner=self.owner)
        self.length += len(events)
        for event in events:
            for listener in self.listeners:
                listener(event)

    @property
    def events(self) -> list[Event]:
        """All events so far, read back from the store."""
        return [recorded.event for recorded in self.since(0)]

    def since(self, sequence: int) -> list[Recorded]:
        """The events after this one, read back from the store."""
        return self._store.events(self.id, sequence)

    async def sync(self) -> None:
        """Wait until what was appended would survive a power cut."""
        await self._store.sync()

    def keep(self, id: str, content: str | bytes) -> None:
        """Keep a text or a file as an artifact of this run."""
        self._store.keep(self.id, id, content)

    def keep_files(self, files: Mapping[str, bytes], kind: str = FILE) -> None:
        """Keep files of this run, all or none."""
        self._store.keep_files(self.id, files, kind)

    def files(self, kind: str = FILE) -> dict[str, bytes]:
        """Those files, by name."""
        return self._store.files(self.id, kind)

    def artifact(self, id: str) -> str | None:
        """The artifact's full text, or None."""
        return self._store.artifact(self.id, id)

    def decision(self, step: int, call: int) -> ApprovalGiven | None:
        """What another process decided on a tool call, or None while it waits."""
        return self._store.decision(self.id, step, call)

    def beat(self) -> None:
        """Say that the run is still worked on."""
        self._store.beat(self.id, self.owner)

    def release(self) -> None:
        """Let others go on with the run. The process's own memory of it goes first: a full disk must not keep it."""
        owners.give_up(self.owner)
        self._store.release(self.id, self.owner)


_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?)"


def _beginning_of(events: Sequence[Event], step: int) -> int | None:
    """Where the reply begins that led to a step."""
    began: dict[int, int] = {}
    reply = None
    for position, event in enumerate(events):
        if isinstance(event, Replied):
            reply = began.setdefault(event.step, position)
        elif isinstance(event, Intended) and reply is not None:
            began.setdefault(event.step, reply)
    intended = {event.step for event in events if isinstance(event, Intended)}
    return began[step] if step in intended else None


def _elapsed(recorded: Sequence[Recorded]) -> float:
    """Seconds of work, process by process: within one, time never goes back."""
    total, began, last = 0.0, None, 0.0
    for one in recorded:
        if began is None or isinstance(one.event, Resumed):
            total, began = total + last - (began or last), one.at
        last = one.at
    return total + last - (began or last)


def _sync(path: Path) -> None:
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    except FileNotFoundError:
        pass  # all of it is in the main file, which SQLite syncs itself


def _key(number: int, sequence: int) -> int:
    return (number << 32) + sequence


def _alive(owner: str | None, beat: float) -> bool:
    return owner is not None and owners.alive(Owner.model_validate_json(owner), beat)


def _read(body: bytes | str, run: str) -> tuple[Event, ...]:
    try:
        return codec.unpack(body)
    except ValueError as error:
        raise StoreError(f"run {run}: an event cannot be read: {error}") from error


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, OSError, UnicodeDecodeError, PydanticSerializationError) as error:
        raise StoreError(f"run store {path}: {error}; check the disk, its permissions and free space") from error
