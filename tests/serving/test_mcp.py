"""The index as an MCP server, spoken to by the official SDK's client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.serving.batching import BatchSearch
from deepagent.serving.calls import Caller
from deepagent.serving.mcp import mcp_server
from deepagent.toolsets.base import Host
from deepagent.toolsets.indexed import IndexedTools, named

from .conftest import command


@asynccontextmanager
async def connected(folder: Path, *, sources: bool = True, unsafe: bool = False) -> AsyncIterator[Client]:
    """A client of the server, in this process."""
    index = ToolIndex.open(folder / "index", HashEncoder())
    may_call = named([str(folder / "mine.py")] if sources else [])
    async with (
        BatchSearch(index) as searcher,
        Caller(IndexedTools(index, may_call, Host()), unsafe=unsafe) as caller,
        Client(mcp_server(searcher, caller)) as client,
    ):
        yield client


def text(answer: Any) -> str:
    return "\n".join(block.text for block in answer.content)


async def test_a_client_finds_and_calls_over_http(service: tuple[str, "Popen[str]"]):
    url, _ = service
    async with Client(streamable_http_client(f"{url}/mcp/")) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"search_tools", "call_tool"}
        answer = await client.call_tool("search_tools", {"query": "twice a number", "k": 1})
        found = answer.structured_content["result"]
        assert [(tool["name"], tool["callable"]) for tool in found] == [("double", True)]
        assert found[0]["parameters"]["required"] == ["x"]
        assert text(await client.call_tool("call_tool", {"name": "double", "arguments": {"x": 21}})) == "42"


async def test_a_client_finds_and_calls_over_stdio(folder: Path):
    program, *arguments = command(folder / "index", "--stdio", "--call", folder / "mine.py")
    async with Client(stdio_client(StdioServerParameters(command=program, args=arguments))) as client:
        assert "4 tools" in (client.instructions or "")
        assert text(await client.call_tool("call_tool", {"name": "double", "arguments": {"x": 4}})) == "8"


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("double", {"x": "many"}, "Signature: double(x: int)"),
        ("double", {"y": 1}, "Signature: double(x: int)"),
        ("nothing", {}, "there is no tool 'nothing'"),
        ("broken", {}, "broken failed: ValueError: no luck"),
        ("launch", {"where": "Mars"}, "not approved"),
        ("list_orders", {}, "not called: its catalogue only describes it"),
    ],
)
async def test_a_call_that_cannot_be_made_says_why(folder: Path, name: str, arguments: dict[str, Any], told: str):
    async with connected(folder) as client:
        answer = await client.call_tool("call_tool", {"name": name, "arguments": arguments})
        assert answer.is_error
        assert told in text(answer)


async def test_unsafe_tools_are_called_only_when_that_is_allowed(folder: Path):
    async with connected(folder, unsafe=True) as client:
        answer = await client.call_tool("call_tool", {"name": "launch", "arguments": {"where": "Mars"}})
        assert text(answer) == "launched to Mars"


async def test_no_source_is_opened_that_was_not_named(folder: Path):
    async with connected(folder, sources=False) as client:
        found = (await client.call_tool("search_tools", {"query": "twice a number"})).structured_content["result"]
        assert not any(tool["callable"] for tool in found)
        assert (await client.call_tool("call_tool", {"name": "double", "arguments": {"x": 1}})).is_error


async def test_a_search_that_cannot_be_made_says_why(folder: Path):
    async with connected(folder) as client:
        assert "empty" in text(await client.call_tool("search_tools", {"query": " "}))
        assert (await client.call_tool("search_tools", {"query": "x", "k": 0})).is_error
