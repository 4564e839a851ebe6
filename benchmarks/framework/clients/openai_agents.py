"""openai-agents, without its tracing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from benchmarks.framework import script
from benchmarks.framework.measure import Play


@asynccontextmanager
async def opened(url: str, concurrency: int) -> AsyncIterator[Play]:
    """One agent for all runs."""
    set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        agent = Agent(
            name="benchmark",
            instructions=script.INSTRUCTIONS,
            tools=[function_tool(script.lookup_async, name_override=script.TOOL)],
            model=OpenAIChatCompletionsModel(script.MODEL, client),
        )

        async def play(worker: int) -> str:
            return str((await Runner.run(agent, script.TASK, max_turns=script.STEPS)).final_output)

        yield play
