"""smolagents, in the two ways it has of calling tools; it blocks, so every run has a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from smolagents import CodeAgent, LogLevel, MultiStepAgent, OpenAIModel, ToolCallingAgent, tool

from benchmarks.framework import script
from benchmarks.framework.measure import Play


@asynccontextmanager
async def code(url: str, concurrency: int) -> AsyncIterator[Play]:
    """Tools are called by code."""
    with ThreadPoolExecutor(concurrency) as threads:
        yield _play(CodeAgent, url, concurrency, threads)


@asynccontextmanager
async def tools(url: str, concurrency: int) -> AsyncIterator[Play]:
    """Tools are called by tool calls."""
    with ThreadPoolExecutor(concurrency) as threads:
        yield _play(ToolCallingAgent, url, concurrency, threads)


def _play(kind: Callable[..., MultiStepAgent], url: str, concurrency: int, threads: ThreadPoolExecutor) -> Play:
    """An agent for each worker: it holds the memory of its run."""
    model = OpenAIModel(script.MODEL, api_base=url, api_key="none")
    lookup = tool(script.lookup)
    agents = [
        kind(tools=[lookup], model=model, max_steps=script.STEPS, verbosity_level=LogLevel.OFF)
        for _ in range(concurrency)
    ]

    async def play(worker: int) -> str:
        loop = asyncio.get_running_loop()
        return str(await loop.run_in_executor(threads, agents[worker].run, script.TASK))

    return play
