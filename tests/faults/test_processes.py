"""The command as a process that is killed, interrupted and ended, and then goes on."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deepagent.runs.events import Observed, Resumed
from deepagent.runs.store import RunStore
from tests.cli.conftest import ScriptServer, command, complaint, deepagent, environment, model, serving
from tests.models.fake_server import decode
from tests.support import answer, assert_promises, call, execute

__all__ = ["deepagent", "environment", "model"]  # fixtures

TOOLS = """
import os, signal
from pathlib import Path
from deepagent import tool

@tool(effect="{effect}")
def step(number: int) -> str:
    '''Does a step of the work.'''
    mark = Path(f"killed-{{number}}")
    if number in (2, 4) and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with open("done.txt", "a") as file:
        file.write(f"{{number}}\\n")
    return f"step {{number}} is done"
"""


class ByProgress(ScriptServer):
    """Knows from the prompt how far the work is, so that it does not matter how often it is asked."""

    def __init__(self, script: list[str]) -> None:
        super().__init__(script)
        self._whole = script
        self._examples: int | None = None  # results in the instructions
        self.asked = 0

    async def generate(self, exchange, done=True):
        self.asked += 1
        results = decode(exchange.body["prompt"]).count("_result>\n")
        if self._examples is None:
            self._examples = results
        self._script = [self._whole[(results - self._examples) // 2]]
        await super().generate(exchange, done)


@pytest.fixture
def config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("agent: {encoder: hash, result_tokens: 200}\n")


@pytest.mark.parametrize("effect", ["pure", "unsafe"])
def test_sigkill_inside_a_tool_twice_in_one_run(deepagent, tmp_path, config, effect):
    (tmp_path / "tools.py").write_text(TOOLS.format(effect=effect))
    server = ByProgress([*(call("step", number=n) for n in range(1, 6)), answer("all done")])
    with serving(server) as url:
        first = deepagent("run", "-m", url, "-c", "config.yaml", "-t", "python:tools.py", "Work.")
        assert first.returncode == -signal.SIGKILL
        second = deepagent("run", "--resume", "last")
        assert second.returncode == -signal.SIGKILL
        third = deepagent("run", "--resume", "last")
        assert third.returncode == 0, third.stderr
        assert "all done" in third.stdout
    with RunStore(tmp_path / "runs.sqlite") as store:
        (run,) = store.runs()
        events = [one.event for one in store.events(run.id)]
    assert_promises(events)
    assert run.state == "answered"
    assert server.asked == 6, "every reply was asked for once"
    assert sum(isinstance(event, Resumed) for event in events) == 2
    done = (tmp_path / "done.txt").read_text().split()
    unknown = [e.step for e in events if isinstance(e, Observed) and "is not known" in e.observation.text]
    if effect == "pure":
        assert done == ["1", "2", "3", "4", "5"]
        assert unknown == []
    else:
        assert done == ["1", "3", "5"], "what may have been done is never done again unasked"
        assert unknown == [2, 4]


def hanging(server: ScriptServer) -> None:
    async def hang(exchange) -> None:
        await exchange.open_stream()
        await exchange.gone()

    server.faults = [hang]


def begin(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 50
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_in_order_and_it_goes_on(deepagent, environment, tmp_path, config, number, code):
    server = ByProgress([execute("print(6 * 7)"), answer("42")])
    hanging(server)
    with serving(server) as url:
        process = begin(environment, tmp_path, "run", "-m", url, "-c", "config.yaml", "Work.")
        wait_for(lambda: server.generations, process)
        process.send_signal(number)
        if number == signal.SIGINT:  # once lets the step end, twice ends now
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.send_signal(number)
        _, said = process.communicate(timeout=50)
        assert process.returncode == code, said
        assert "--resume" in said
        with RunStore(tmp_path / "runs.sqlite") as store:
            assert store.runs()[0].state == "interrupted"
        done = deepagent("run", "--resume", "last")
        assert done.returncode == 0, done.stderr
    with RunStore(tmp_path / "runs.sqlite") as store:
        assert store.runs()[0].ended.answer == "42"


def test_two_processes_never_work_on_one_run(deepagent, environment, tmp_path, config):
    server = ByProgress([answer("42")])
    hanging(server)
    with serving(server) as url:
        process = begin(environment, tmp_path, "run", "-m", url, "-c", "config.yaml", "Work.")
        wait_for(lambda: server.generations, process)
        refused = complaint(deepagent("run", "--resume", "last"), 2)
        assert f"at work in process {process.pid}" in refused
        process.kill()
        process.communicate()
        assert deepagent("run", "--resume", "last").returncode == 0


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    from deepagent.errors import StoreError

    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    os.chmod(tmp_path, 0o755)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match="check the disk, its permissions"):
            RunStore(folder / "runs.sqlite")
    finally:
        os.seteuid(was)


def test_a_run_is_replayed_and_forked(deepagent, tmp_path, config):
    server = ByProgress([execute("print(6 * 7)"), execute("print(6 * 8)"), answer("42")])
    with serving(server) as url:
        assert deepagent("run", "-m", url, "-c", "config.yaml", "Work.").returncode == 0
        sent = [decode(one.body["prompt"]) for one in server.generations]
        listed = deepagent("runs", "replay", "last").stdout.splitlines()
        assert len(listed) == len(sent) == 3
        assert listed[1].endswith("extends the one before")
        for step, text in enumerate(sent, start=1):
            assert deepagent("runs", "replay", "last", "--step", step).stdout == text
        forked = deepagent("runs", "fork", "last", "--at", "2")
        assert forked.returncode == 0, forked.stderr
        assert server.asked == 5
        assert complaint(deepagent("runs", "fork", "last", "--at", "9"), 2)
    with RunStore(tmp_path / "runs.sqlite") as store:
        copy, original = store.runs()
        assert copy.parent == original.id
        assert copy.state == original.state == "answered"
        assert len(store.events(copy.id)) == len(store.events(original.id)) + 1
