"""langgraph's prebuilt agent on langchain-openai, without a checkpointer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

from benchmarks.framework import script
from benchmarks.framework.measure import Play


@asynccontextmanager
async def opened(url: str, concurrency: int) -> AsyncIterator[Play]:
    """One graph for all runs."""
    model = ChatOpenAI(model=script.MODEL, base_url=url, api_key="none")
    lookup = StructuredTool.from_function(coroutine=script.lookup_async, name=script.TOOL)
    graph = create_react_agent(model, [lookup], prompt=script.INSTRUCTIONS)

    async def play(worker: int) -> str:
        asked = {"messages": [{"role": "user", "content": script.TASK}]}
        ended = await graph.ainvoke(asked, {"recursion_limit": 2 * script.STEPS + 1})
        return str(ended["messages"][-1].content)

    yield play
