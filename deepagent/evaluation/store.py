"""Where results are kept: one SQLite file, a row for every evaluation x task x seed, written as episodes end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from deepagent.database import Database
from deepagent.errors import UsageError
from deepagent.evaluation.base import Verdict
from deepagent.evaluation.results import EpisodeResult, Evaluation

_VERDICTS = TypeAdapter(tuple[Verdict, ...])
_UPGRADES = {
    0: """
    CREATE TABLE evaluations (
        id TEXT PRIMARY KEY, hash TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE results (
        evaluation TEXT NOT NULL, task TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL,
        verdicts TEXT NOT NULL, UNIQUE (evaluation, task, seed)
    );
    CREATE INDEX results_by_status ON results (evaluation, status, task, seed);
    """,
}


class ResultStore:
    """All evaluations of a project.

    Args:
        path: the SQLite file; its folder is created.

    Raises:
        StoreError: the file cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, "results", _UPGRADES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def begin(self, evaluation: Evaluation) -> None:
        """Record that an evaluation is run. One that is taken up again keeps its record, but for the prices."""
        with self._database.translated():
            row = (evaluation.id, evaluation.setup.hash, evaluation.at, evaluation.model_dump_json())
        self._database.execute(
            "INSERT INTO evaluations VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body", row
        )

    def add(self, evaluation: str, result: EpisodeResult) -> bool:
        """Keep a result; only one that failed is ever replaced.

        Returns:
            Whether it was kept: False when the episode had a result already.
        """
        with self._database.translated():
            body = result.model_dump_json(exclude={"verdicts"})
            verdicts = _VERDICTS.dump_json(result.verdicts).decode()
        changed = self._database.execute(
            "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (evaluation, task, seed) DO UPDATE"
            " SET status = excluded.status, body = excluded.body, verdicts = excluded.verdicts"
            " WHERE status = 'failed'",
            (evaluation, result.task, result.seed, result.status, body, verdicts),
        )
        return changed == 1

    def settled(self, evaluation: str) -> set[tuple[str, int]]:
        """The task and seed of all episodes that need not be run again: what failed may be."""
        rows = self._database.rows(
            "SELECT task, seed FROM results WHERE evaluation = ? AND status != 'failed'", (evaluation,)
        )
        return {(task, seed) for task, seed in rows}

    def results(self, evaluation: str) -> list[EpisodeResult]:
        """All results of an evaluation, without their verdicts, ordered by task and seed."""
        rows = self._database.rows("SELECT body FROM results WHERE evaluation = ? ORDER BY task, seed", (evaluation,))
        with self._database.translated():
            return [EpisodeResult.model_validate_json(body) for (body,) in rows]

    def verdicts(self, evaluation: str) -> Iterator[tuple[str, int, tuple[Verdict, ...]]]:
        """Task, seed and verdicts of every episode that has some."""
        query = "SELECT task, seed, verdicts FROM results WHERE evaluation = ? AND verdicts != '[]'"
        for task, seed, body in self._database.each(query, (evaluation,)):
            with self._database.translated():
                verdicts = _VERDICTS.validate_json(body)
            yield task, seed, verdicts

    def evaluations(self) -> list[tuple[Evaluation, int]]:
        """All evaluations with the number of their results, newest first."""
        rows = self._database.rows(
            "SELECT body, (SELECT COUNT(*) FROM results WHERE evaluation = id) FROM evaluations"
            " ORDER BY at DESC, id DESC"
        )
        with self._database.translated():
            return [(Evaluation.model_validate_json(body), count) for body, count in rows]

    def get(self, name: str) -> Evaluation:
        """The evaluation whose id this is or begins with; `last` is the newest.

        Raises:
            UsageError: none or several are.
        """
        known = [evaluation for evaluation, _ in self.evaluations()]
        found = known[:1] if name == "last" else [one for one in known if one.id == name]
        found = found or [one for one in known if name and one.id.startswith(name)]
        if len(found) != 1:
            count = "no evaluation is" if not found else f"{len(found)} evaluations begin like that, none is"
            raise UsageError(f"{count} called {name!r}; `deepagent eval list` shows their ids")
        return found[0]

    def newest(self, hash: str) -> Evaluation | None:
        """The newest evaluation of a setup."""
        row = self._database.row(
            "SELECT body FROM evaluations WHERE hash = ? ORDER BY at DESC, id DESC LIMIT 1", (hash,)
        )
        with self._database.translated():
            return Evaluation.model_validate_json(row[0]) if row else None
