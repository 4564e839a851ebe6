"""`deepagent run`, as a process: what stands on which stream, and what every mistake is answered with."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from deepagent.runs.store import RunStore
from tests.cli.conftest import command, complaint
from tests.support import answer, execute


def test_the_story_is_told_and_the_answer_is_exit_code_0(deepagent, model):
    done = deepagent("run", "What is 6 * 7?", "-m", model(execute("print(6*7)"), answer("42")))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "task        What is 6 * 7?" in lines
    assert "    42" in lines
    assert "answer      42" in lines


def test_json_is_one_event_per_line_whatever_tools_print(deepagent, model, tmp_path):
    (tmp_path / "noisy.py").write_text("def speak() -> str:\n    'Speak.'\n    print('NOISE')\n    return 'ok'\n")
    url = model(execute("print(speak())"), answer("ö"))
    done = deepagent("run", "Do it.", "-m", url, "-t", "python:noisy.py", "--json", env={"PYTHONIOENCODING": "ascii"})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    assert [lines[0]["event"]["kind"], lines[-1]["event"]["kind"]] == ["started", "ended"]
    assert lines[-1]["event"]["answer"] == "ö"
    assert deepagent("runs", "show", "last", "--json").stdout == done.stdout, "live and afterwards alike"
    assert done.stderr == "NOISE\n"


def test_a_run_without_an_answer_is_exit_code_1(deepagent, model, tmp_path):
    (tmp_path / "short.yaml").write_text("agent:\n  limits:\n    actions: 1\n")
    done = deepagent("run", "Do it.", "-m", model(execute("print(1)"), "</answer>"), "-c", "short.yaml")
    assert done.returncode == 1
    assert "the limit of 1 actions is reached" in done.stdout


def test_neither_task_nor_model_commands_the_terminal(deepagent, model):
    url = model(execute("print('\\x1b[31mred\\x1b[0m [bold]b[/bold] \\u202e')"), answer("\x1b]0;title\x07[red]x[/red]"))
    done = deepagent("run", "\x1b[2J[bold]task[/bold]\r", "-m", url)
    assert done.returncode == 0
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(done.stdout)
    assert "[bold]task[/bold]" in done.stdout
    assert "[red]x[/red]" in done.stdout


@pytest.mark.parametrize("columns", ["1", "20", "none"])
def test_lines_in_a_pipe_stay_whole_at_any_width(deepagent, model, columns):
    long = "word " * 50
    done = deepagent("run", "Do it.", "-m", model(answer(long)), env={"COLUMNS": columns, "NO_COLOR": "1"})
    assert f"answer      {long.strip()}" in done.stdout.splitlines()


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reader_that_leaves_early_ends_the_run_without_noise(environment, model, arguments):
    url = model(execute("print(1)"))
    process = subprocess.Popen(
        command("run", "Do it.", "-m", url, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    with process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_full_disk_behind_stdout_is_told(deepagent, model, arguments):
    with open("/dev/full", "w") as full:
        done = deepagent("run", "Do it.", "-m", model(answer("1")), *arguments, stdout=full)
    assert "No space left" in complaint(done, 1)


@pytest.fixture
def begun(environment, model):
    """Starts a run, and gives its process and id once a line of its JSON holds some text."""

    def start(until, *script):
        process = subprocess.Popen(
            command("run", "Do it.", "-m", model(*script), "--json"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        line = process.stdout.readline()
        run = json.loads(line)["event"]["run"]
        while until not in line:
            line = process.stdout.readline()
            assert process.poll() is None
        return process, run

    return start


STOPPING = "stopping after this step; Ctrl-C again stops at once\n"


def test_ctrl_c_stops_after_the_step_and_says_how_to_go_on(begun, tmp_path):
    wait = "import time\nprint('begun')\ntime.sleep(1.5)\nprint('done')"
    process, run = begun('"kind":"intended"', execute(wait), answer("never given"))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == f"{STOPPING}go on: deepagent run --resume {run}\n", "its end on stdout says why"
    with RunStore(tmp_path / "runs.sqlite") as store:
        kinds = {recorded.event.kind: recorded.event for recorded in store.events(run)}
    assert kinds["observed"].observation.text == "begun\ndone", "the step was done to its end"
    assert kinds["ended"].status == "interrupted"


def test_ctrl_c_twice_stops_at_once_and_keeps_what_was_done(begun, tmp_path):
    process, run = begun('"kind":"intended"', execute("while True: pass"))
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == STOPPING
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == f"interrupted; go on: deepagent run --resume {run}\n"
    with RunStore(tmp_path / "runs.sqlite") as store:
        assert store.summary(run).state == "interrupted"


def test_ctrl_c_before_the_run_begins_ends_at_once(environment, tmp_path):
    (tmp_path / "slow.yaml").write_text("kind: http\nurl: http://127.0.0.1:1/v1\nretries: 20\n")
    process = subprocess.Popen(
        command("run", "Do it.", "-m", tmp_path / "slow.yaml"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "opening the model\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted; nothing was begun\n")


@pytest.mark.parametrize(
    ("task", "text"),
    [("", None), (" \n", None), ("-", ""), ("-", "\n")],
    ids=["nothing", "blank", "nothing from stdin", "blank from stdin"],
)
def test_an_empty_task_is_refused(deepagent, task, text):
    done = deepagent("run", task) if text is None else deepagent("run", task, input=text)
    assert complaint(done, 2) == "error: the task is empty; say what to do"


def test_a_task_that_is_no_text_is_refused(deepagent):
    assert "no UTF-8 text" in complaint(deepagent("run", os.fsdecode(b"task \xff")), 2)


def test_stdin_that_is_closed_is_an_empty_task(environment):
    line = ["sh", "-c", '"$@" <&-', "sh", *command("run", "-")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert complaint(done, 2) == "error: the task is empty; say what to do"


def test_a_task_larger_than_the_window_is_refused_with_the_sizes(deepagent, model):
    done = deepagent("run", "word " * 5000, "-m", model(answer("1")))
    assert "of the model's 4096 tokens; shorten the task" in complaint(done, 2)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-m", "nonsense"], 2, "no model is called 'nonsense': give embedded[:NAME], vllm:FOLDER, URL[#MODEL]"),
        (["-m", "down.yaml"], 1, "http://127.0.0.1:1 cannot be reached"),
        (["-m", "http://127.0.0.1:x/v1"], 2, "is no URL of a model server"),
        (["-m", "http://[::1/v1"], 2, "is no URL of a model server"),
        (["-m", "embedded"], 1, "run `deepagent models pull qwen2.5-coder-1.5b`"),
        (["-m", "embedded:./none.gguf"], 1, "there is no weights file ./none.gguf"),
        (["-c", "none.yaml"], 2, "config none.yaml: No such file or directory; give another file"),
        (["-c", "wrong.yaml"], 2, "unknown key 'agent.limits.actoins'; did you mean 'actions'?"),
        (["-c", "broken.yaml"], 2, "is not YAML"),
        (["--store", "."], 1, "run store .: unable to open database file"),
        (["--store", "wrong.yaml"], 1, "run store wrong.yaml: file is not a database"),
        (["-t", "nonsense"], 2, "unknown tool source 'nonsense'; known are api_bank[:3], m3tooleval"),
        (["-t", "python:none.py"], 2, "there is no Python file none.py"),
    ],
)
def test_a_mistake_is_answered_with_one_line(deepagent, tmp_path, arguments, code, words):
    (tmp_path / "wrong.yaml").write_text("agent:\n  limits:\n    actoins: 3\n")
    (tmp_path / "broken.yaml").write_text("model: [")
    (tmp_path / "down.yaml").write_text("kind: http\nurl: http://127.0.0.1:1/v1\nretries: 0\n")
    assert words in complaint(deepagent("run", "Do it.", *arguments), code)


def test_without_confinement_code_is_not_run_and_the_remedy_is_told(deepagent, model, tmp_path):
    done = deepagent("run", "Do it.", "-m", model(execute("print(1)")), env={"PATH": str(tmp_path)})
    assert "install bubblewrap" in complaint(done, 1)
    assert "--unsafe-execute" in done.stderr


def test_code_without_walls_is_warned_of(deepagent, model, tmp_path):
    arguments = ["-m", model(execute("print(6*7)"), answer("42")), "--unsafe-execute"]
    done = deepagent("run", "Do it.", *arguments, env={"PATH": str(tmp_path)})
    assert done.returncode == 0
    assert done.stderr.startswith("warning: code runs without confinement")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_cannot_ask_for_code_without_walls(deepagent, model, tmp_path):
    (tmp_path / "open.yaml").write_text("agent:\n  sandbox:\n    unsafe: true\n")
    done = deepagent("run", "Do it.", "-m", model(answer("42")), "-c", "open.yaml")
    assert "running code without walls must be asked for each time: --unsafe-execute" in complaint(done, 2)


def test_files_go_in_and_come_out(deepagent, model, tmp_path):
    (tmp_path / "in.txt").write_text("lamp")
    code = "open('out.txt', 'w').write(open('in.txt').read().upper())\nfinal_answer('done')"
    done = deepagent("run", "Do it.", "-m", model(execute(code)), "--attach", "in.txt")
    assert (done.returncode, done.stderr) == (0, "")
    done = deepagent("runs", "files", "last", "--to", "results")
    assert done.stdout == "results/out.txt\n"
    assert (tmp_path / "results" / "out.txt").read_text() == "LAMP"


def test_an_attachment_that_is_missing_is_told(deepagent, model):
    done = deepagent("run", "Do it.", "-m", model(answer("42")), "-a", "none.txt")
    assert "attachment none.txt: No such file or directory" in complaint(done, 2)


def test_a_store_that_cannot_be_written_is_told(deepagent, tmp_path: Path):
    done = deepagent("run", "Do it.", "--store", "/proc/none/runs.sqlite")
    assert "check the disk, its permissions and free space" in complaint(done, 1)


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_it_wants_none(environment, model, env, coloured):
    ours, theirs = pty.openpty()
    line = command("run", "Do it.", "-m", model(execute("print(1)"), answer("42")))
    environ = {**environment, "TERM": "xterm", "COLUMNS": "40", **env}
    with subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        shown = _read_terminal(ours)
    assert process.returncode == 0
    assert ("\x1b[1;32manswer" in shown) == coloured
    assert "Traceback" not in shown


def _read_terminal(handle: int) -> str:
    read = b""
    with os.fdopen(handle, "rb", buffering=0) as terminal:
        while True:
            try:
                read += terminal.read(4096)
            except OSError:  # the other end was closed
                return read.decode()
