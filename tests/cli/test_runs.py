"""`deepagent runs`: recorded runs, told as they were told live."""

import json
import shutil
import sqlite3

import pytest

from deepagent.runs.log import FILE
from deepagent.runs.store import RunStore
from tests.cli.conftest import complaint
from tests.support import answer, execute, record


async def test_a_recorded_run_is_listed_and_told_again(deepagent, tmp_path):
    recording = await record([execute("print('[red]x[/red]')"), answer("42")], tmp_path, task="Do [bold]it[/bold].")
    run = recording.run.id
    head, line = deepagent("runs", "list").stdout.splitlines()
    assert head.split() == ["run", "status", "steps", "folds", "task", "answer"]
    assert line.split() == [run, "answered", "2", "0", "Do", "[bold]it[/bold].", "42"]
    for name in ("last", run, run[:-2], run[-6:]):
        told = deepagent("runs", "show", name).stdout
        assert "    [red]x[/red]\n" in told
        assert "answer      42\n" in told
    assert json.loads(deepagent("runs", "list", "--json").stdout)["id"] == run
    events = [json.loads(line) for line in deepagent("runs", "show", "last", "--json").stdout.splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, len(recording.events) + 1))


async def test_a_file_s_name_leads_nowhere_but_into_the_folder(deepagent, tmp_path):
    recording = await record([answer("42")], tmp_path)
    assert "this run left no files" in deepagent("runs", "files", "last", "--to", "out").stderr
    with RunStore(tmp_path / "runs.sqlite") as store:
        store.keep(recording.run.id, f"{FILE}../outside", b"x")
    done = deepagent("runs", "files", "last", "--to", "out")
    assert "would be written outside out" in complaint(done, 2)
    assert not (tmp_path / "outside").exists()


def test_where_there_are_no_runs_it_says_how_to_make_one(deepagent):
    done = deepagent("runs", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "no runs yet: `deepagent run TASK` makes one\n"
    assert "`deepagent run TASK`" in complaint(deepagent("runs", "show", "last"), 2)


async def test_ids_stay_whole_at_any_width(deepagent, tmp_path):
    recording = await record([answer("long " * 50)], tmp_path, task="a\nlong " * 50)
    for columns in ("60", "80", "300"):
        done = deepagent("runs", "list", env={"COLUMNS": columns})
        assert len(done.stdout.splitlines()) == 2, "one line a run"
        assert recording.run.id in done.stdout
    _, line = deepagent("runs", "list").stdout.splitlines()
    assert len(line) > 180, "nothing is cut to the width of a terminal where there is none"


async def test_long_results_are_cut_unless_shown_in_full(deepagent, tmp_path):
    await record([execute("for i in range(60): print('line', i)"), answer("1")], tmp_path)
    short, full = deepagent("runs", "show", "last").stdout, deepagent("runs", "show", "last", "--full").stdout
    assert "line 30" not in short
    assert "... 46 more lines ..." in short
    assert "line 30" in full


@pytest.mark.parametrize("name", ["nonsense", "", "%", "_", "[bold]"])
async def test_a_run_that_is_not_there_is_told(deepagent, tmp_path, name):
    await record([answer("1")], tmp_path)
    words = f"no run matches {name!r}; `deepagent runs list` shows their ids"
    assert words in complaint(deepagent("runs", "show", name), 2)


async def test_a_name_that_fits_several_runs_is_told(deepagent, tmp_path):
    for _ in range(2):
        await record([answer("1")], tmp_path)
    assert "2 runs match '20'" in complaint(deepagent("runs", "show", "20"), 2)


def test_a_mistyped_store_is_not_created(deepagent, tmp_path):
    assert "there is no run store typo.sqlite" in complaint(deepagent("runs", "list", "--store", "typo.sqlite"), 2)
    assert not (tmp_path / "typo.sqlite").exists()


async def test_approving_where_no_call_waits_is_told(deepagent, tmp_path):
    recording = await record([answer("42")], tmp_path)
    done = deepagent("runs", "approve", "last")
    assert f"no tool call of run {recording.run.id} waits for approval" in complaint(done, 2)


def test_no_runs_yet_is_no_error_for_a_list_but_for_last(deepagent):
    assert deepagent("runs", "list").returncode == 0
    assert "no runs in" in complaint(deepagent("runs", "show", "last"), 2)


def test_a_store_that_is_none_is_told(deepagent, tmp_path):
    (tmp_path / "text").write_text("no database")
    assert "file is not a database" in complaint(deepagent("runs", "list", "--store", "text"), 1)
    assert "unable to open" in complaint(deepagent("runs", "list", "--store", "."), 1)


async def test_an_event_that_was_changed_by_hand_is_told(deepagent, tmp_path):
    await record([answer("1")], tmp_path)
    copy = shutil.copy(tmp_path / "runs.sqlite", tmp_path / "copy.sqlite")
    with sqlite3.connect(copy) as connection:
        connection.execute('UPDATE records SET body = \'{"kind": "magic"}\' WHERE key % 4294967296 = 2')
    connection.close()
    assert "an event cannot be read" in complaint(deepagent("runs", "show", "last", "--store", copy), 1)


async def test_runs_are_exported_to_a_new_file_or_to_stdout(deepagent, tmp_path):
    one = (await record([answer("42")], tmp_path)).run.id
    other = (await record([answer("43")], tmp_path)).run.id
    table = deepagent("runs", "export", one, other, "-f", "csv").stdout.splitlines()
    assert [line.split(",")[0] for line in table] == ["run", one, other]
    done = deepagent("runs", "export", one, other, "-f", "markdown", "-o", "report.md")
    assert (done.returncode, done.stderr) == (0, "wrote 2 runs to report.md\n")
    assert (tmp_path / "report.md").read_text().count("\n# Run ") == 1
    assert "report.md exists already" in complaint(deepagent("runs", "export", one, "-o", "report.md"), 2)
