"""A loop written by hand on httpx: the yardstick."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from benchmarks.framework.measure import Play
from benchmarks.framework.script import INSTRUCTIONS, MODEL, TASK, TOOLS, lookup

SHARD = 16
"""Runs that share one client where clients are sharded."""


@asynccontextmanager
async def opened(url: str, concurrency: int) -> AsyncIterator[Play]:
    """One client for all runs."""
    async with _client(url) as client:
        yield lambda worker: play(client)


@asynccontextmanager
async def sharded(url: str, concurrency: int) -> AsyncIterator[Play]:
    """One client for every few runs."""
    async with AsyncExitStack() as stack:
        count = -(-concurrency // SHARD)
        clients = [await stack.enter_async_context(_client(url)) for _ in range(count)]
        yield lambda worker: play(clients[worker // SHARD])


async def play(client: httpx.AsyncClient) -> str:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": TASK},
    ]
    while True:
        body = {"model": MODEL, "messages": messages, "tools": TOOLS}
        response = await client.post("chat/completions", json=body)
        response.raise_for_status()
        message = response.json()["choices"][0]["message"]
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            result = lookup(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=url, limits=limits, timeout=None)
