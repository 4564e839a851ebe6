"""`deepagent eval`, as a process."""

import json
import subprocess

import pytest

from tests.cli.conftest import command, complaint
from tests.support import answer, execute


def test_tasks_are_scored_and_summed_up(deepagent, model):
    done = deepagent("eval", "toolhop", "-n", "2", "-m", model(answer("15"), answer("[bold]no[/bold]")))
    assert (done.returncode, done.stderr) == (0, "")
    first, second = (line for line in done.stdout.splitlines() if line.startswith("toolhop-"))
    assert first.startswith("toolhop-001  right  answer 15  gold 15  answered")
    assert second.startswith("toolhop-002  wrong  answer [bold]no[/bold]  gold 86")
    assert "2 tasks: 2 answered by themselves, 0 at a limit, 0 without an answer" in done.stdout
    assert any(
        line.split() == ["correct", "50.0%", "0.0%", "to", "100.0%", "50.0%"] for line in done.stdout.splitlines()
    )


def test_json_is_one_result_per_line(deepagent, model):
    done = deepagent("eval", "toolhop", "--task", "toolhop-001", "-m", model(answer('"15.0"')), "--json", "--show")
    (result,) = map(json.loads, done.stdout.splitlines())
    assert result["score"]["values"]["correct"] == {"published": 0.0, "corrected": 1.0, "weight": 1.0}
    assert "answer      " in done.stderr, "--show tells the run beside it"


def test_a_task_that_fails_says_why_and_the_next_one_is_tried(deepagent, model, tmp_path):
    arguments = ["-n", "2", "-m", model(execute("print(1)"))]
    done = deepagent("eval", "toolhop", *arguments, env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["error", "toolhop-001"],
        ["error", "toolhop-002"],
    ]
    assert all("install bubblewrap" in line for line in done.stderr.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "unknown benchmark 'nonsense'; known are alfworld, "),
        (["toolhop", "--task", "x"], "toolhop has no task 'x'; its ids run from toolhop-001 to toolhop-050"),
        (["toolhop", "-m", "nonsense"], "no model is called 'nonsense'"),
        (["toolhop", "-b", "nonsense"], "unknown baseline 'nonsense'; known are codeact, deepagent"),
        (["m3tooleval", "--show", "--concurrency", "2"], "--show tells one run at a time"),
    ],
)
def test_a_mistake_is_answered_with_one_line(deepagent, arguments, words):
    assert words in complaint(deepagent("eval", *arguments), 2)


def test_an_evaluation_goes_on_where_it_was_left(deepagent):
    deepagent("eval", "toolhop", "-n", "1", "-m", "oracle")
    again = deepagent("eval", "toolhop", "-n", "2", "-m", "oracle", "--resume", "--json")
    assert "1 of 2 episodes are done already" in again.stderr
    assert [json.loads(line)["task"] for line in again.stdout.splitlines()] == ["toolhop-002"]


def test_a_killed_evaluation_loses_nothing_that_was_done_and_repeats_nothing(deepagent, environment, tmp_path):
    arguments = ["eval", "toolhop", "-n", "30", "-m", "empty", "--concurrency", "2", "--json"]
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, env=environment, cwd=tmp_path) as process:
        done = [json.loads(process.stdout.readline())["task"] for _ in range(5)]
        process.kill()
        done += [json.loads(line)["task"] for line in process.stdout if line.endswith(b"\n")]
    again = deepagent(*arguments, "--resume")
    rest = [json.loads(line)["task"] for line in again.stdout.splitlines()]
    assert len(rest) == len(set(rest))
    assert not set(done) & set(rest), "what was told was kept"
    shown = json.loads(deepagent("eval", "show", "last", "--json").stdout)
    assert (shown["episodes"], shown["tasks"]) == (30, 30)
