"""SQLite files that many processes of one machine write at the same time: how they are opened, and how they fail.

A file is in WAL mode and has a format, a number that SQLite keeps for us. Every error of the disk, of SQLite and of
what the file holds becomes a `StoreError`, one line with the remedy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from deepagent.errors import StoreError

Values = Sequence[Any] | Mapping[str, Any]
Row = tuple[Any, ...]

_PATIENCE = 30
"""Seconds that a statement waits while another process writes."""
_ERRORS = (sqlite3.Error, OSError, UnicodeError, ValidationError, PydanticSerializationError)
"""What may go wrong with a file and with what it holds."""


class TakenError(StoreError):
    """What was to be written has the key of something that is there already."""


class Database:
    """One file, opened.

    Args:
        path: the file; its folder is created.
        title: what the file is, for errors.
        upgrades: by format, the SQL that brings a file of it to the newest one; of format 0 is a file that is new.

    Attributes:
        connection: for what is not said here.

    Raises:
        StoreError: the file cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path, title: str, upgrades: Mapping[int, str]) -> None:
        self.path = path
        self._title = title
        with self.translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            self._upgrade(upgrades)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def execute(self, sql: str, values: Values = ()) -> int:
        """Do one statement, a transaction by itself unless one is open; returns how many rows it changed."""
        try:
            return self.connection.execute(sql, values).rowcount
        except _ERRORS as error:
            raise self.told(error) from error

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """All that a query finds."""
        try:
            return self.connection.execute(sql, values).fetchall()
        except _ERRORS as error:
            raise self.told(error) from error

    def row(self, sql: str, values: Values = ()) -> Row | None:
        """The first that a query finds."""
        return next(iter(self.rows(sql, values)), None)

    def each(self, sql: str, values: Values = ()) -> Iterator[Row]:
        """What a query finds, one after another: for more than should be in memory at one time."""
        with self.translated():
            yield from self.connection.execute(sql, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements, all or none."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # SQLite itself gives up on some errors
                self.execute("ROLLBACK")
            raise

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the file, and of models that are read from it, in our words."""
        try:
            yield
        except _ERRORS as error:
            raise self.told(error) from error

    def told(self, error: Exception) -> StoreError:
        """An error in our words."""
        if isinstance(error, ValidationError):
            first = error.errors(include_input=False, include_url=False)[0]["msg"]
            why = f"{error.title} in it cannot be read ({first}); the file was changed, restore it from a copy"
            return StoreError(f"{self._title} {self.path}: {why}")
        kind = TakenError if isinstance(error, sqlite3.IntegrityError) else StoreError
        return kind(f"{self._title} {self.path}: {error}; check the disk, its permissions and free space")

    def _upgrade(self, upgrades: Mapping[int, str]) -> None:
        """Bring the file to the newest format, all at once or not at all."""
        newest = max(upgrades) + 1
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")
        if self._format(newest) == newest:
            return
        with self.transaction():
            found = self._format(newest)  # another process may have been first
            if found < newest:
                for statement in upgrades[found].split(";\n"):
                    self.execute(statement)
                self.execute(f"PRAGMA user_version={newest}")

    def _format(self, newest: int) -> int:
        row = self.row("PRAGMA user_version")
        found = int(row[0]) if row else 0
        if not 0 <= found <= newest:
            raise StoreError(f"{self.path} has format {found}, this version reads up to {newest}; upgrade deepagent")
        return found
