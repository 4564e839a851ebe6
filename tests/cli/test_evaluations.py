"""`deepagent eval list|show|compare|report`, and tables of several evaluations, in this process."""

import json

import pytest
from typer.main import get_command

from deepagent.cli.evaluate import results_path
from deepagent.cli.main import app
from deepagent.errors import UsageError
from deepagent.evaluation.store import ResultStore
from deepagent.runs.events import WindowOpened
from deepagent.runs.store import RunStore
from tests.evaluation.support import evaluation, result


@pytest.fixture
def store(tmp_path, monkeypatch):
    path = tmp_path / "runs.sqlite"
    monkeypatch.setenv("DEEPAGENT_STORE", str(path))
    monkeypatch.setenv("DEEPAGENT_CACHE", str(tmp_path / "cache"))
    return path


@pytest.fixture
def evaluated(store):
    """Two evaluations: one without and one with success."""
    with ResultStore(results_path(store)) as results:
        for number, (id, right) in enumerate((("wrong-1", 0.0), ("right-1", 1.0))):
            results.begin(evaluation(id).model_copy(update={"at": float(number)}))
            for task in "ab":
                results.add(id, result(task, right=right, tags={"level": task}))


@pytest.fixture
def command(capsys):
    """Calls a command; gives its exit code and the words of each line that it prints."""

    def call(*arguments):
        code = get_command(app).main(["eval", *arguments], standalone_mode=False)
        return code, [line.split() for line in capsys.readouterr().out.splitlines()]

    return call


def test_benchmarks_and_evaluations_are_listed(command, evaluated):
    _, lines = command("list")
    assert ["toolhop", "open-set,", "labelled"] in [line[:3] for line in lines]
    place = next(number for number, line in enumerate(lines) if line[0] == "baselines:")
    assert {"codeact,", "deepagent,", "plan-and-solve,", "react,"} < set(lines[place])
    assert [line[0] for line in lines[place + 2 :]] == ["right-1", "wrong-1"]
    _, lines = command("list", "--json")
    assert [json.loads(" ".join(line))["id"] for line in lines] == ["right-1", "wrong-1"]


def test_before_any_evaluation_there_are_only_benchmarks(command, store):
    assert command("list")[1][-1][0] == "baselines:"
    assert not results_path(store).exists(), "looking creates nothing"


def test_an_evaluation_is_shown_by_its_beginning(command, evaluated):
    _, lines = command("show", "wro", "--episodes")
    assert lines[0][:2] == ["a", "wrong"]
    assert ["right", "0.0%", "0.0%", "to", "0.0%", "0.0%"] in lines
    assert ["level", "b", "1", "0.0%", "3.00"] in lines
    _, ((*words,),) = command("show", "last", "--json")
    assert json.loads(" ".join(words))["metrics"][0]["corrected"]["mean"] == 1


def test_two_are_compared(command, evaluated):
    _, lines = command("compare", "wrong-1", "right-1")
    row = ["right", "2", "0.0%", "100.0%", "+100.0%", "+100.0%", "to", "+100.0%", "2", "0", "0.500"]
    assert lines[1] == row
    _, ((*words,),) = command("compare", "wrong-1", "right-1", "--json")
    assert json.loads(" ".join(words))["metrics"]["right"]["better"] == 2


def test_a_report_is_written_of_several(command, evaluated, tmp_path):
    _, lines = command("report", "wrong-1", "right-1", "--to", str(tmp_path / "out" / "r.html"))
    assert [line for (line,) in lines] == [str(tmp_path / "out" / "r.html"), str(tmp_path / "out" / "r.json")]


@pytest.mark.parametrize("arguments", [["show", "x"], ["compare", "x", "y"], ["report", "x"]])
def test_without_results_that_is_said(command, store, arguments):
    with pytest.raises(UsageError, match="there are no results in"):
        command(*arguments)
    assert not results_path(store).exists()


def test_one_command_makes_a_table_of_ways_to_work(command, store, tmp_path):
    page = tmp_path / "table.html"
    code, lines = command(
        "toolhop", "-n", "2", "-m", "empty", "-b", "react", "-b", "plan-and-solve", "--report", str(page)
    )
    assert code == 0
    assert ["react,", "empty", "plan-and-solve,", "empty"] in lines
    assert ["toolhop", "correct", "(open-set)", "0.0%", "0.0%"] in lines
    assert "react, empty" in page.read_text()


@pytest.mark.parametrize(("mode", "shown"), [("--labelled", True), ("--open-set", False)])
def test_labelled_tasks_are_given_their_own_tools(command, store, mode, shown, tmp_path, monkeypatch):
    config = tmp_path / "own.yaml"
    config.write_text("model: empty-ish\nagent: {encoder: hash, execute: false, doubts: false}")
    monkeypatch.setattr("deepagent.models.roles.open_model", _silent)
    command("toolhop", "-n", "1", "-c", str(config), mode, "--json")
    with RunStore(store) as runs:
        (run,) = runs.runs()
        opened = next(one.event for one in runs.events(run.id) if isinstance(one.event, WindowOpened))
    assert ("genealogy_query" in opened.segments[0].text) == shown


def _silent(name):
    from deepagent import ScriptedModel

    return ScriptedModel(["<answer>15</answer>"], context=100_000)
