"""What a recorded run was made of, so that it can go on without being described again."""

from __future__ import annotations

from deepagent.config import AgentConfig, RunConfig
from deepagent.errors import UsageError
from deepagent.runs.events import Resumed, Started
from deepagent.runs.store import RunStore
from deepagent.settings import validate


def settings_of(store: RunStore, run: str, model: str | None = None) -> RunConfig:
    """The settings that a run was begun with, or resumed with last, and another model if one is named.

    Raises:
        UsageError: its model was given as an object of Python.
    """
    events = [one.event for one in store.events(run)]
    started = events[0]
    latest = next((event for event in reversed(events) if isinstance(event, Resumed)), started)
    model = model or (started.sources.model if isinstance(started, Started) else None)
    if not isinstance(started, Started) or model is None:
        raise UsageError(f"run {run} was begun in Python, or by an older version: say with which --model and --config")
    agent = validate(latest.settings if isinstance(latest, (Started, Resumed)) else {}, AgentConfig, where=f"run {run}")
    sources = started.sources
    return RunConfig(model=model, auxiliary=sources.auxiliary, tools=sources.tools, agent=agent)
