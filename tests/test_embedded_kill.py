"""A run with a real model that is killed in its middle, through the command line: it ends with an answer."""

import signal

import pytest

from deepagent.errors import WeightsError
from deepagent.models import weights
from deepagent.runs.events import Intended, Observed, Replied, Resumed
from deepagent.runs.store import RunStore
from tests.cli.conftest import deepagent, environment
from tests.support import assert_promises

__all__ = ["deepagent", "environment"]  # fixtures

pytestmark = [pytest.mark.weights, pytest.mark.heavy, pytest.mark.timeout(1800)]

TOOLS = """
import os, signal
from pathlib import Path
from deepagent import tool

@tool(effect="pure")
def price(article: str) -> int:
    '''The price of an article in dollars.'''
    with open("calls.txt", "a") as file:
        file.write(article + "\\n")
    if not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 40
"""
TASK = "What does the lamp cost? Call the tool price, then answer with the number."


def test_a_run_of_the_default_model_is_killed_and_goes_on(deepagent, tmp_path):
    pytest.importorskip("xllamacpp")
    try:
        weights.path("qwen2.5-coder-1.5b")
    except WeightsError as missing:
        pytest.skip(str(missing))
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "config.yaml").write_text("agent: {encoder: hash, sampling: {temperature: 0, max_tokens: 300}}\n")
    real = {"DEEPAGENT_CACHE": str(weights.cache_folder())}
    first = deepagent("run", "-c", "config.yaml", "-t", "python:tools.py", TASK, env=real, timeout=900)
    assert first.returncode == -signal.SIGKILL, first.stderr
    with RunStore(tmp_path / "runs.sqlite") as store:
        (run,) = store.runs()
        assert run.state == "dead"
        before = [one.event for one in store.events(run.id)]
    assert isinstance(before[-1], Intended), "it was killed in the middle of a step"
    second = deepagent("run", "--resume", "last", env=real, timeout=900)
    assert second.returncode == 0, second.stderr
    assert "40" in second.stdout
    with RunStore(tmp_path / "runs.sqlite") as store:
        (run,) = store.runs()
        events = [one.event for one in store.events(run.id)]
    assert run.state == "answered"
    assert_promises(events)
    assert events[: len(before)] == before
    after = events[len(before) :]
    assert sum(isinstance(event, Resumed) for event in after) == 1
    killed = before[-1].step
    asked = [event.step for event in after if isinstance(event, Replied)]
    assert all(step > killed for step in asked), "a reply that was in the log was asked for again"
    assert next(event.observation.ok for event in after if isinstance(event, Observed))
    assert (tmp_path / "calls.txt").read_text().split()[:2] == ["lamp", "lamp"], "pure: called again, with the same"
