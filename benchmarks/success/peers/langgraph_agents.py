"""langgraph's prebuilt agent; where tools have to be found, the agent of langgraph-bigtool."""

from __future__ import annotations

from typing import Any

from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

from benchmarks.success.peers.link import Job, Link, RemoteTool


def solve(job: Job, link: Link) -> str | None:
    """Tools are given."""
    graph = create_react_agent(_model(job), [_tool(tool, link) for tool in job.tools])
    return _answer(graph, job)


def found(job: Job, link: Link) -> str | None:
    """Tools are retrieved by the bench's index, in the way that bigtool has for one's own retrieval."""
    from langgraph_bigtool import create_agent

    def retrieve_tools(query: str) -> list[str]:
        """Retrieve tools that fit a description of what they should do."""
        return link.search(query)

    registry = {tool.name: _tool(tool, link) for tool in job.tools}
    built = create_agent(_model(job), registry, retrieve_tools_function=retrieve_tools)
    return _answer(built.compile(), job)


def _model(job: Job) -> ChatOpenAI:
    return ChatOpenAI(
        model=job.model, base_url=job.url, api_key="none", temperature=job.temperature, seed=job.seed,
        max_tokens=job.max_tokens,
    )  # fmt: skip


def _tool(tool: RemoteTool, link: Link) -> StructuredTool:
    def called(**arguments: Any) -> str:
        return link.told(tool.name, arguments)

    return StructuredTool(name=tool.name, description=tool.description, args_schema=tool.parameters, func=called)


def _answer(graph: Any, job: Job) -> str | None:
    asked = {"messages": [{"role": "user", "content": job.task}]}
    ended = graph.invoke(asked, {"recursion_limit": 2 * job.turns + 1})
    return str(ended["messages"][-1].content)
