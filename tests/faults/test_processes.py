"""The command as a process that is killed, interrupted and ended, and then goes on."""

import asyncio
import os
import signal
import subprocess
import threading
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


def held(server: ScriptServer) -> threading.Event:
    """The server gives its first reply when the event is set."""
    let_go = threading.Event()

    async def hold(exchange) -> None:
        await asyncio.to_thread(let_go.wait)
        await server.generate(exchange)

    server.faults = [hold]
    return let_go


def begin(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in a process; what it says on stderr is in `said(folder)`, also while it runs."""
    with (folder / "stdout.txt").open("w") as stdout, (folder / "stderr.txt").open("w") as stderr:
        return subprocess.Popen(
            command(*arguments), env=environment, cwd=folder, stdout=stdout, stderr=stderr, text=True
        )


def said(folder: Path) -> str:
    return (folder / "stderr.txt").read_text()


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 50
    while not condition():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.02)


def logged(folder: Path) -> tuple[str, list[int]]:
    """How the only run stands, and its steps with an outcome."""
    with RunStore(folder / "runs.sqlite") as store:
        (run,) = store.runs()
        return run.state, [one.event.step for one in store.events(run.id) if isinstance(one.event, Observed)]


def test_sigint_once_lets_the_step_end_and_then_stops(deepagent, environment, tmp_path, config):
    server = ByProgress([execute("print(6 * 7)"), answer("42")])
    let_go = held(server)
    with serving(server) as url:
        process = begin(environment, tmp_path, "run", "-m", url, "-c", "config.yaml", "Work.")
        try:
            wait_for(lambda: server.generations, process)
            process.send_signal(signal.SIGINT)
            wait_for(lambda: "stopping after this step; Ctrl-C again stops at once" in said(tmp_path), process)
        finally:
            let_go.set()
        assert process.wait(50) == 130
        assert "\ngo on: deepagent run --resume" in said(tmp_path)
        told = (tmp_path / "stdout.txt").read_text() + said(tmp_path)
        assert told.count("stopped after step 1, as asked") == 1
        assert logged(tmp_path) == ("interrupted", [1]), "the step has ended, and no other was begun"
        assert server.asked == 1
        assert deepagent("run", "--resume", "last").returncode == 0
    assert server.asked == 2, "the first reply was not asked for again"
    assert logged(tmp_path) == ("answered", [1])


def test_sigint_twice_stops_at_once(deepagent, environment, tmp_path, config):
    server = ByProgress([execute("print(6 * 7)"), answer("42")])
    hanging(server)
    with serving(server) as url:
        process = begin(environment, tmp_path, "run", "-m", url, "-c", "config.yaml", "Work.")
        wait_for(lambda: server.generations, process)
        process.send_signal(signal.SIGINT)
        wait_for(lambda: "stopping after this step" in said(tmp_path), process)
        assert process.poll() is None, "once is not enough where the step does not end"
        process.send_signal(signal.SIGINT)
        assert process.wait(50) == 130
        assert "interrupted; go on: deepagent run --resume" in said(tmp_path)
        assert logged(tmp_path) == ("interrupted", [])
        assert deepagent("run", "--resume", "last").returncode == 0
    assert logged(tmp_path) == ("answered", [1])


def test_sigterm_stops_at_once(deepagent, environment, tmp_path, config):
    server = ByProgress([execute("print(6 * 7)"), answer("42")])
    hanging(server)
    with serving(server) as url:
        process = begin(environment, tmp_path, "run", "-m", url, "-c", "config.yaml", "Work.")
        wait_for(lambda: server.generations, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(50) == 143
        assert "ended by SIGTERM; go on: deepagent run --resume" in said(tmp_path)
        assert logged(tmp_path) == ("interrupted", [])
        assert deepagent("run", "--resume", "last").returncode == 0
    assert logged(tmp_path) == ("answered", [1])


def test_two_processes_never_work_on_one_run(deepagent, environment, tmp_path, config):
    server = ByProgress([answer("42")])
    hanging(server)
    with serving(server) as url:
        process = begin(environment, tmp_path, "run", "-m", url, "-c", "config.yaml", "Work.")
        wait_for(lambda: server.generations, process)
        refused = complaint(deepagent("run", "--resume", "last"), 2)
        assert f"at work in process {process.pid}" in refused
        process.kill()
        process.wait()
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
