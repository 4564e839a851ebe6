"""deepagent through its public API, with its event log on disk."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.framework.measure import Play
from benchmarks.framework.script import MODEL, TASK, lookup_async
from deepagent import Agent, AgentConfig, RunStore, tool
from deepagent.models.http import HttpModel


@asynccontextmanager
async def opened(url: str, concurrency: int) -> AsyncIterator[Play]:
    """One open agent for all runs."""
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder) / "runs.sqlite") as store:
        model = HttpModel(url, MODEL, api="chat")
        lookup = tool(name="lookup", effect="pure")(lookup_async)
        async with Agent(model, [lookup], config=AgentConfig(), store=store) as agent:

            async def play(worker: int) -> str:
                run = await agent.run(TASK)
                return run.answer or run.reason

            yield play
