"""A loop written by hand on aiohttp."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks.framework.measure import Play
from benchmarks.framework.script import INSTRUCTIONS, MODEL, TASK, TOOLS, lookup

Message = dict[str, Any]
Ask = Callable[[aiohttp.ClientSession, str, dict[str, Any]], Awaitable[Message]]


@asynccontextmanager
async def opened(url: str, concurrency: int) -> AsyncIterator[Play]:
    """Whole answers."""
    async with _session() as session:
        yield lambda worker: play(session, url, _whole)


@asynccontextmanager
async def streamed(url: str, concurrency: int) -> AsyncIterator[Play]:
    """Answers as streams of events."""
    async with _session() as session:
        yield lambda worker: play(session, url, _streamed)


async def play(session: aiohttp.ClientSession, url: str, ask: Ask) -> str:
    messages: list[Message] = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": TASK},
    ]
    while True:
        message = await ask(session, f"{url}/chat/completions", {"model": MODEL, "messages": messages, "tools": TOOLS})
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            result = lookup(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


async def _whole(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Message:
    async with session.post(url, json=body) as response:
        answer = await response.json()
        message: Message = answer["choices"][0]["message"]
        return message


async def _streamed(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Message:
    """The message put together again; the server sends each tool call in one event."""
    message: Message = {"role": "assistant", "content": ""}
    async with session.post(url, json=body | {"stream": True}) as response:
        async for line in response.content:
            data = line.removeprefix(b"data: ").strip()
            if not data or data == b"[DONE]":
                continue
            for choice in json.loads(data)["choices"]:
                delta = choice["delta"]
                message["content"] += delta.get("content") or ""
                if delta.get("tool_calls"):
                    message["tool_calls"] = delta["tool_calls"]
    return message


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, raise_for_status=True, timeout=aiohttp.ClientTimeout(None))
