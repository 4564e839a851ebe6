"""Who is measured, and in which environment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """One client.

    Attributes:
        name: as shown.
        module: module under `clients`, and after a colon what opens it.
        environment: the virtual environment it runs in; None is the one that deepagent is installed in.
    """

    name: str
    module: str
    environment: str | None


OURS = Client("deepagent", "ours", None)
HTTPX = Client("raw httpx", "raw_httpx", "raw")
SHARDED = Client("raw httpx, sharded", "raw_httpx:sharded", "raw")
STREAMED = Client("raw aiohttp, streamed", "raw_aiohttp:streamed", "raw")
BASE = (HTTPX, SHARDED, Client("raw aiohttp", "raw_aiohttp", "raw"), STREAMED, OURS)
PEERS = (
    Client("langgraph", "langgraph", "langgraph"),
    Client("openai-agents", "openai_agents", "openai-agents"),
    Client("pydantic-ai", "pydantic_ai", "pydantic-ai"),
    Client("smolagents, code", "smolagents:code", "smolagents"),
    Client("smolagents, tools", "smolagents:tools", "smolagents"),
)
