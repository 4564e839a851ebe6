"""Everything that a run has done and seen, by id and by search: what `recall` reads.

It is made from the log and the stored results when it is first asked, in a temporary SQLite file of its own, and
catches up with the log at each question: the log alone is the truth, also after a resume. SQLite's FTS5 gives BM25
without any index to keep, and what is not in memory does not grow there.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from deepagent.actions import Call
from deepagent.memory.ledger import describe_in_full
from deepagent.runs.events import Observed
from deepagent.runs.log import RunLog
from deepagent.runs.steps import Step, Steps

RECALL = "recall"

_PASSAGE = 1000
_SEARCHED = 2_000_000
"""Characters of one stored result that are searched; what lies beyond is within reach by id."""
_WORDS = 32
_CACHE_KIBIBYTES = 256
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af])")
"""Written without spaces: each character is a word."""
_SCHEMA = """
CREATE TABLE texts (id TEXT PRIMARY KEY, head TEXT NOT NULL, result TEXT NOT NULL, artifact TEXT);
CREATE VIRTUAL TABLE passages USING fts5(
    words, text UNINDEXED, id UNINDEXED, start UNINDEXED, step UNINDEXED, tokenize = 'porter unicode61'
);
"""


@dataclass(frozen=True)
class Passage:
    """A piece of what was seen.

    Attributes:
        id: of the step or stored result that it belongs to.
        start: where it begins there, in characters.
    """

    id: str
    start: int
    text: str


class Archive:
    """One run's steps, tool calls from code and stored results.

    Args:
        log: the run's log.
    """

    def __init__(self, log: RunLog) -> None:
        self._log = log
        self._database: sqlite3.Connection | None = None
        self._heard = 0
        self._steps = Steps()

    def close(self) -> None:
        """Remove the temporary file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def text(self, id: str) -> str | None:
        """The whole of a step ("3"), of a tool call that its code made ("3.1"), or of a stored result ("r3").

        Word for word, whatever the stream showed of it; None where nothing has this id.
        """
        stored = self._log.artifact(id)
        if stored is not None:
            return stored
        row = self._caught_up().execute("SELECT head, result, artifact FROM texts WHERE id = ?", (id,)).fetchone()
        return None if row is None else f"{row[0]}\nresult: {self._whole(row[1], row[2])}"

    def result(self, id: str) -> str | None:
        """The same without what was done: only what came of it."""
        stored = self._log.artifact(id)
        if stored is not None:
            return stored
        row = self._caught_up().execute("SELECT result, artifact FROM texts WHERE id = ?", (id,)).fetchone()
        return None if row is None else self._whole(*row)

    def search(self, query: str, limit: int) -> list[Passage]:
        """The passages that fit best by BM25, the newer ones first among equals."""
        words = list(dict.fromkeys(_WORD.findall(_spaced(query).lower())))[:_WORDS]
        if not words:
            return []
        asked = " OR ".join(f'"{word}"' for word in words)  # words alone: FTS5 reads no operator from them
        rows = self._caught_up().execute(
            "SELECT id, start, text FROM passages WHERE words MATCH ? ORDER BY bm25(passages), step DESC LIMIT ?",
            (asked, limit),
        )
        return [Passage(id, start, text) for id, start, text in rows]

    def _caught_up(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.execute(f"PRAGMA cache_size=-{_CACHE_KIBIBYTES}")  # there may be many runs at a time
            self._database.executescript(_SCHEMA)
            self._heard, self._steps = 0, Steps()
        database = self._database
        try:
            database.execute("BEGIN")
            for recorded in self._log.since(self._heard):
                self._heard = recorded.sequence
                self._steps.hear(recorded.event)
                if isinstance(recorded.event, Observed) and (step := self._steps.take(recorded.event.step)) is not None:
                    self._add(database, step)
            database.execute("COMMIT")
        except BaseException:
            self.close()  # half a step is worse than none: it is made anew at the next question
            raise
        return database

    def _add(self, database: sqlite3.Connection, step: Step) -> None:
        for id, head, result, artifact in _told(step):
            database.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)", (id, head, result, artifact))
            if isinstance(step.action, Call) and step.action.name == RECALL:
                continue  # what was recalled is there already
            pieces = [(id, f"{head}\nresult: {result if artifact is None else ''}")]
            if artifact is not None:
                pieces.append((artifact, self._whole(result, artifact)[:_SEARCHED]))
            database.executemany(
                "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
                (
                    (_spaced(text[start : start + _PASSAGE]), text[start : start + _PASSAGE], one, start, step.number)
                    for one, text in pieces
                    for start in range(0, len(text), _PASSAGE)
                ),
            )

    def _whole(self, result: str, artifact: str | None) -> str:
        whole = self._log.artifact(artifact) if artifact is not None else None
        return result if whole is None else whole


def _told(step: Step) -> Iterator[tuple[str, str, str, str | None]]:
    """Id, what was done, what the stream showed of the result, and where all of it is: of a step and its calls."""
    observation = step.observation
    if observation is not None:
        thought = f"{step.thought}\n" if step.thought else ""
        head = f"[step {step.number}] {thought}{describe_in_full(step.action)}"
        yield str(step.number), head, observation.text, observation.artifact
    for use in step.uses:
        if use.returned is not None:
            id = f"{step.number}.{use.called.call}"
            yield (
                id,
                f"[call {id}] {use.called.name} {use.called.arguments}",
                use.returned.result,
                use.returned.artifact,
            )


def _spaced(text: str) -> str:
    return _UNSPACED.sub(r" \1 ", text)
