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
    settings, sources = {}, None
    for event in (one.event for one in store.events(run)):
        if isinstance(event, (Started, Resumed)):
            settings, sources = event.settings, event.sources or sources
    model = model or (sources.model if sources else None)
    if sources is None or model is None:
        raise UsageError(f"the model of run {run} was given in Python: name one with --model and --config")
    return RunConfig(
        model=model,
        auxiliary=sources.auxiliary,
        vision=sources.vision,
        tools=sources.tools,
        agent=validate(settings, AgentConfig, where=f"run {run}"),
    )
