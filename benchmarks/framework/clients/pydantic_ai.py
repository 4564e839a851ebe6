"""pydantic-ai."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic_ai import Agent, Tool
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.framework import script
from benchmarks.framework.measure import Play


@asynccontextmanager
async def opened(url: str, concurrency: int) -> AsyncIterator[Play]:
    """One agent for all runs."""
    model = OpenAIChatModel(script.MODEL, provider=OpenAIProvider(base_url=url, api_key="none"))
    lookup = Tool(script.lookup_async, name=script.TOOL)
    async with Agent(model, instructions=script.INSTRUCTIONS, tools=[lookup]) as agent:

        async def play(worker: int) -> str:
            return str((await agent.run(script.TASK)).output)

        yield play
