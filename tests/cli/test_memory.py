"""`deepagent memory` and what `deepagent run` learns for it."""

import json

import pytest
from typer.testing import CliRunner

from deepagent.cli.main import app
from deepagent.errors import UsageError
from deepagent.memory.store import Experience, ExperienceStore, Failure, Note
from deepagent.resources import experience_beside


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs.sqlite"
    with ExperienceStore(experience_beside(path)) as store:
        weather = Experience(
            tool="weather",
            schema="a" * 16,
            calls=4,
            errors=(Failure(kind="tool_failed", count=1, message="\x1b[2Jno such city"),),
            notes=(Note(text="give the country too", evidence=2),),
        )
        store.learn("r1", [weather, Experience(tool="orders", schema="b" * 16, calls=1)])
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, ["memory", *map(str, arguments)])


def test_list_shows_each_tool_with_its_counts(runs):
    shown = invoke("list", "--store", runs)
    assert shown.exit_code == 0
    assert [line.split()[:5] for line in shown.output.splitlines()[1:]] == [
        ["orders", "bbbbbbbb", "1", "0", "1"],
        ["weather", "aaaaaaaa", "4", "1", "1"],
    ]


def test_show_tells_all_of_one_tool_and_no_control_character(runs):
    shown = invoke("show", "weather", "--store", runs)
    assert "4 calls in 1 runs, 1 failed" in shown.output
    assert "tool_failed x1 [2Jno such city" in shown.output
    assert "give the country too (evidence 2, from 1 runs)" in shown.output
    assert "\x1b" not in shown.output


def test_json_is_a_line_for_each_tool(runs):
    lines = [json.loads(line) for line in invoke("list", "--json", "--store", runs).output.splitlines()]
    assert [line["tool"] for line in lines] == ["orders", "weather"]
    assert json.loads(invoke("show", "weather", "--json", "--store", runs).output)["notes"][0]["evidence"] == 2


def test_export_writes_what_list_prints(runs, tmp_path):
    to = tmp_path / "out.jsonl"
    assert invoke("export", "--to", to, "--store", runs).exit_code == 0
    assert (
        to.read_text() == invoke("export", "--store", runs).output == invoke("list", "--json", "--store", runs).output
    )


def test_forget_takes_one_tool_or_all(runs):
    assert invoke("forget", "weather", "--store", runs).exit_code == 0
    assert "weather" not in invoke("list", "--store", runs).output
    assert invoke("forget", "--all", "--store", runs).exit_code == 0
    assert invoke("list", "--json", "--store", runs).output == ""


@pytest.mark.parametrize(
    "arguments", [("show", "gone"), ("forget", "gone"), ("forget",), ("forget", "weather", "--all")]
)
def test_what_cannot_be_done_is_said(runs, arguments):
    shown = invoke(*arguments, "--store", runs)
    assert isinstance(shown.exception, UsageError)


def test_looking_creates_nothing(tmp_path):
    assert invoke("list", "--store", tmp_path / "runs.sqlite").exit_code == 0
    assert list(tmp_path.iterdir()) == []
