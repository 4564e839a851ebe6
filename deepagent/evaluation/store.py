"""Where results are kept: one SQLite file, a row for every evaluation x task x seed, written as episodes end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter, ValidationError

from deepagent.errors import StoreError, UsageError
from deepagent.evaluation.base import Verdict
from deepagent.evaluation.results import EpisodeResult, Evaluation

_FORMAT = 1
_VERDICTS = TypeAdapter(tuple[Verdict, ...])
_SCHEMA = """
CREATE TABLE IF NOT EXISTS evaluations (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (
    evaluation TEXT NOT NULL, task TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL,
    verdicts TEXT NOT NULL, UNIQUE (evaluation, task, seed)
);
CREATE INDEX IF NOT EXISTS results_by_status ON results (evaluation, status, task, seed);
"""


class ResultStore:
    """All evaluations of a project.

    Args:
        path: the SQLite file; its folder is created.

    Raises:
        StoreError: the file cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
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

    def begin(self, evaluation: Evaluation) -> None:
        """Record that an evaluation is run. One that is taken up again keeps its record, but for the prices."""
        row = (evaluation.id, evaluation.setup.hash, evaluation.at, evaluation.model_dump_json())
        with self._translated():
            self._connection.execute(
                "INSERT INTO evaluations VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body", row
            )

    def add(self, evaluation: str, result: EpisodeResult) -> bool:
        """Keep a result; only one that failed is ever replaced.

        Returns:
            Whether it was kept: False when the episode had a result already.
        """
        body = result.model_dump_json(exclude={"verdicts"})
        verdicts = _VERDICTS.dump_json(result.verdicts).decode()
        with self._translated():
            done = self._connection.execute(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (evaluation, task, seed) DO UPDATE"
                " SET status = excluded.status, body = excluded.body, verdicts = excluded.verdicts"
                " WHERE status = 'failed'",
                (evaluation, result.task, result.seed, result.status, body, verdicts),
            )
        return done.rowcount == 1

    def settled(self, evaluation: str) -> set[tuple[str, int]]:
        """The task and seed of all episodes that need not be run again: what failed may be."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT task, seed FROM results WHERE evaluation = ? AND status != 'failed'", (evaluation,)
            ).fetchall()
        return set(rows)

    def results(self, evaluation: str) -> list[EpisodeResult]:
        """All results of an evaluation, without their verdicts, ordered by task and seed."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT body FROM results WHERE evaluation = ? ORDER BY task, seed", (evaluation,)
            ).fetchall()
        try:
            return [EpisodeResult.model_validate_json(body) for (body,) in rows]
        except ValidationError as error:
            raise StoreError(f"{self.path}: a result of {evaluation} cannot be read; the file was changed") from error

    def verdicts(self, evaluation: str) -> Iterator[tuple[str, int, tuple[Verdict, ...]]]:
        """Task, seed and verdicts of every episode that has some."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT task, seed, verdicts FROM results WHERE evaluation = ? AND verdicts != '[]'", (evaluation,)
            )
            for task, seed, body in rows:
                yield task, seed, _VERDICTS.validate_json(body)

    def evaluations(self) -> list[tuple[Evaluation, int]]:
        """All evaluations with the number of their results, newest first."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT body, (SELECT COUNT(*) FROM results WHERE evaluation = id) FROM evaluations"
                " ORDER BY at DESC, id DESC"
            ).fetchall()
        try:
            return [(Evaluation.model_validate_json(body), count) for body, count in rows]
        except ValidationError as error:
            raise StoreError(f"{self.path}: an evaluation cannot be read; the file was changed") from error

    def get(self, name: str) -> Evaluation:
        """The evaluation whose id this is or begins with; `last` is the newest.

        Raises:
            UsageError: none or several are.
        """
        known = [evaluation for evaluation, _ in self.evaluations()]
        found = known[:1] if name == "last" else [one for one in known if one.id == name]
        found = found or [one for one in known if name and one.id.startswith(name)]
        if len(found) != 1:
            count = "no evaluation is" if not found else f"{len(found)} evaluations are"
            raise UsageError(f"{count} called {name!r}; `deepagent eval list` shows their ids")
        return found[0]

    def newest(self, hash: str) -> Evaluation | None:
        """The newest evaluation of a setup."""
        with self._translated():
            row = self._connection.execute(
                "SELECT body FROM evaluations WHERE hash = ? ORDER BY at DESC, id DESC LIMIT 1", (hash,)
            ).fetchone()
        return Evaluation.model_validate_json(row[0]) if row else None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"results {self.path}: {error}; check the disk, its permissions and free space") from error
