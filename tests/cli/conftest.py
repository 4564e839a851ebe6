"""The command as a process, and models for it: scripts behind a real server on loopback."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.models.fake_server import Exchange, FakeServer

Command = Callable[..., "subprocess.CompletedProcess[str]"]


class ScriptServer(FakeServer):
    """Gives the script's replies in order, and the last one for ever."""

    def __init__(self, script: Sequence[str]) -> None:
        super().__init__("llama")
        self._script = list(script)

    async def generate(self, exchange: Exchange, done: bool = True) -> None:
        self.reply = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        await super().generate(exchange, done)


@contextmanager
def serving(server: FakeServer) -> Iterator[str]:
    """The URL of a server that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield server.url
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def model() -> Iterator[Callable[..., str]]:
    """Makes a scripted model and gives its URL."""
    with ExitStack() as stack:
        yield lambda *script: stack.enter_context(serving(ScriptServer(script)))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No weights, no run store, no colour and no network by way of pip; what scripts answer counts as it is."""
    own = {
        "DEEPAGENT_STORE": str(tmp_path / "runs.sqlite"),
        "DEEPAGENT_CACHE": str(tmp_path / "cache"),
        "DEEPAGENT_AGENT__DOUBTS": "false",
    }
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_RETRIES": "0",
    }
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR")}
    return {**kept, **own, **nowhere}


@pytest.fixture
def deepagent(environment: dict[str, str], tmp_path: Path) -> Command:
    """Runs the command in `tmp_path`."""

    def run(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        environ = {**environment, **options.pop("env", {})}
        options = {
            "timeout": 60,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        }
        if "input" in options:
            del options["stdin"]
        return subprocess.run(command(*arguments), env=environ, cwd=tmp_path, encoding="utf-8", check=False, **options)

    return run


def command(*arguments: object) -> list[str]:
    """The command line as this interpreter runs it."""
    return [sys.executable, "-c", "from deepagent.cli.main import main; main()", *map(str, arguments)]


def complaint(done: "subprocess.CompletedProcess[str]", code: int) -> str:
    """The one line on stderr that a mistake is answered with."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]
