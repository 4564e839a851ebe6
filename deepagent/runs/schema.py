"""The tables of a run store, and how a file of an older format becomes one of this.

`records` is the truth; `runs` and `approvals` are what must be found quickly, written in the same transactions.
"""

from __future__ import annotations

_TABLES = """
CREATE TABLE records (
    key INTEGER PRIMARY KEY, count INTEGER NOT NULL, at REAL NOT NULL, body BLOB NOT NULL
);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at REAL NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
    benchmark TEXT, parent TEXT, status TEXT, ended TEXT, owner TEXT, beat REAL NOT NULL DEFAULT 0
);
CREATE INDEX runs_open ON runs (number) WHERE status IS NULL;
CREATE TABLE approvals (
    run INTEGER NOT NULL, step INTEGER NOT NULL, call INTEGER NOT NULL, asked TEXT NOT NULL,
    approved INTEGER, by TEXT, PRIMARY KEY (run, step, call)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS artifacts (
    run TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (run, id)
) WITHOUT ROWID;
"""

_FROM_1 = """
INSERT INTO runs (id, at, task, model, benchmark, status, ended)
    SELECT s.run, s.at, substr(json_extract(s.body, '$.task'), 1, 1000), json_extract(s.body, '$.model'),
        json_extract(s.body, '$.benchmark'), json_extract(e.body, '$.status'), e.body
    FROM events s LEFT JOIN events e ON e.run = s.run AND e.kind = 'ended'
    WHERE s.kind = 'started' ORDER BY s.at, s.run;
INSERT INTO records
    SELECT (runs.number << 32) + events.sequence, 1, events.at, events.body
    FROM events JOIN runs ON runs.id = events.run ORDER BY 1;
DROP TABLE events;
"""

UPGRADES = {0: _TABLES, 1: _TABLES + _FROM_1}

TASK_CHARS = 1000
"""How much of a task the table of runs holds."""


def key(number: int, sequence: int) -> int:
    """Of a record: its run's number in the upper half, and the sequence of its first event in the lower."""
    return (number << 32) + sequence
