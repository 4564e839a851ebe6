"""SQLite files: opened one way, shared by processes, and every error in our words."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from deepagent.database import Database, TakenError
from deepagent.errors import StoreError

FIRST = {0: "CREATE TABLE words (word TEXT PRIMARY KEY, count INTEGER NOT NULL DEFAULT 1);\n"}
SECOND = {
    0: FIRST[0] + "CREATE TABLE notes (note TEXT);\n",
    1: "CREATE TABLE notes (note TEXT);\nINSERT INTO notes SELECT word FROM words;\n",
}


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(Database(tmp_path / "deep" / "words.sqlite", "words", FIRST)) as opened:
        yield opened


def open_files() -> set[str]:
    """The files that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found.add(os.readlink(link))
    return found


def test_what_is_written_is_found(database):
    assert database.execute("INSERT INTO words (word) VALUES (?)", ("lamp",)) == 1
    database.execute("INSERT INTO words (word) VALUES (:word)", {"word": "oil"})
    assert database.rows("SELECT word FROM words ORDER BY word") == [("lamp",), ("oil",)]
    assert list(database.each("SELECT word FROM words ORDER BY word")) == [("lamp",), ("oil",)]
    assert database.row("SELECT count FROM words WHERE word = ?", ("lamp",)) == (1,)
    assert database.row("SELECT count FROM words WHERE word = ?", ("none",)) is None


def test_a_transaction_is_all_or_nothing(database):
    def write_and_fail() -> None:
        with database.transaction():
            database.execute("INSERT INTO words (word) VALUES ('lamp')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert database.rows("SELECT * FROM words") == []


def test_a_key_that_is_taken_is_an_error_of_its_own(database):
    database.execute("INSERT INTO words (word) VALUES ('lamp')")
    with pytest.raises(TakenError):
        database.execute("INSERT INTO words (word) VALUES ('lamp')")


def test_a_file_of_an_older_format_is_brought_over_once(database):
    database.execute("INSERT INTO words (word) VALUES ('lamp')")
    for _ in range(2):
        with contextlib.closing(Database(database.path, "words", SECOND)) as newer:
            assert newer.rows("SELECT note FROM notes") == [("lamp",)]


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(database):
    database.execute("INSERT INTO words (word) VALUES ('lamp')")
    broken = {**SECOND, 1: "DROP TABLE words;\nINSERT INTO nowhere VALUES (1);\n"}
    with pytest.raises(StoreError, match="nowhere"):
        Database(database.path, "words", broken)
    assert database.rows("SELECT word FROM words") == [("lamp",)]


@pytest.mark.parametrize("found", [2, 99, -1])
def test_a_file_of_an_unknown_format_is_refused_and_closed(tmp_path, found):
    path = tmp_path / "words.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version={found}")
    with pytest.raises(StoreError, match="upgrade deepagent") as caught:
        Database(path, "words", FIRST)
    assert str(path) not in open_files(), f"still open after: {caught.value}"


def test_two_processes_may_make_one_file(tmp_path):
    path = tmp_path / "words.sqlite"
    code = (
        "import sys; from pathlib import Path; from deepagent.database import Database\n"
        "from tests.test_database import FIRST\n"
        "sys.stdin.readline()\n"  # so that all of them begin at one time
        "for word in range(20):\n"
        "    Database(Path(sys.argv[1]), 'words', FIRST).execute('INSERT INTO words (word) VALUES (?)',"
        " (f'{sys.argv[2]}-{word}',))\n"
    )
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", code, str(path)]
    processes = [subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, text=True) for n in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with contextlib.closing(Database(path, "words", FIRST)) as database:
        assert database.row("SELECT count(*) FROM words") == (60,)


class Counted(BaseModel):
    """What a row may hold."""

    count: int


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda it: it.execute("INSERT INTO nowhere VALUES (1)"), "check the disk"),
        (lambda it: it.rows("SELECT nothing FROM words"), "check the disk"),
        (lambda it: list(it.each("SELECT nothing FROM words")), "check the disk"),
        (lambda it: it.execute("INSERT INTO words (word) VALUES (?)", ("\ud800",)), "check the disk"),
        (lambda it: it.rows("SELECT CAST(x'ff' AS TEXT)"), "check the disk"),
    ],
)
def test_whatever_goes_wrong_is_one_line_with_file_and_remedy(database, harm, words):
    with pytest.raises(StoreError, match=words) as caught:
        harm(database)
    assert str(database.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_row_that_makes_no_sense_is_told_without_what_it_holds(database):
    with pytest.raises(StoreError, match="Counted in it cannot be read") as caught, database.translated():
        Counted.model_validate_json('{"count": "a secret"}')
    assert "a secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_where_no_file_can_be_made_and_a_file_that_is_none_are_told(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("no database " * 100)
    for path in (blocker, blocker / "words.sqlite"):
        with pytest.raises(StoreError, match="check the disk"):
            Database(path, "words", FIRST)
