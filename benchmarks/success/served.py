"""The model server of the bench: the embedded engine behind a door that counts what goes through it.

All who are compared use this door, so tokens, turns and failures are counted alike, whatever they say themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from deepagent.models.base import Usage
from deepagent.models.embedded import EmbeddedModel

_REPLIES = ("/v1/chat/completions", "/v1/completions")
_PASSED_ON = ("content-type", "accept")
_LARGEST = 64 * 2**20


@dataclass
class Counted:
    """What went through the door since it was last emptied.

    Attributes:
        turns: replies of the model.
        refused: requests that the server did not answer, such as prompts that are too long.
        seconds: of the server's work.
        reasons: what it said of those it refused.
    """

    turns: int = 0
    refused: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    reasons: list[str] = field(default_factory=list)


@dataclass
class Door:
    """A model server that counts.

    Attributes:
        url: with `/v1`.
        model: its model's name.
        context: window in tokens.
    """

    url: str
    model: str
    context: int
    counted: Counted = field(default_factory=Counted)

    def emptied(self) -> Counted:
        """What was counted since the last time."""
        counted, self.counted = self.counted, Counted()
        return counted


@asynccontextmanager
async def opened(weights: str, *, context: int) -> AsyncIterator[Door]:
    """Serve a model on loopback.

    Args:
        weights: name in the catalogue.
        context: window in tokens.
    """
    fresh = aiohttp.TCPConnector(force_close=True)  # the engine ends connections that wait, without a word
    async with EmbeddedModel(weights, context=context) as model, aiohttp.ClientSession(connector=fresh) as session:
        root, key = model.endpoint
        door = Door("", model.name, context)

        async def passed(request: web.Request) -> web.StreamResponse:
            headers = {name: value for name in _PASSED_ON if (value := request.headers.get(name))}
            headers["authorization"] = f"Bearer {key}"
            began, body = time.monotonic(), await request.read()
            counting = _Counting(door.counted) if request.path in _REPLIES else None
            try:
                timeout = aiohttp.ClientTimeout(total=None)
                async with session.request(
                    request.method, root + request.path_qs, data=body, headers=headers, timeout=timeout
                ) as answer:
                    response = web.StreamResponse(status=answer.status)
                    response.content_type = answer.content_type
                    await response.prepare(request)
                    async for piece in answer.content.iter_any():
                        if counting:
                            counting.hear(piece)
                        await response.write(piece)
                    if counting:
                        counting.status = answer.status
                    await response.write_eof()
                    return response
            finally:  # also where the client went away in the middle
                if counting:
                    counting.close(time.monotonic() - began)

        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", passed)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            door.url = f"http://127.0.0.1:{port}/v1"
            yield door
        finally:
            await runner.cleanup()


class _Counting:
    """Reads one reply as it goes by: a JSON object, or events of which the last ones hold the counts."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._held = b""
        self._usage: Usage | None = None
        self.status = 200

    def hear(self, piece: bytes) -> None:
        self._held += piece
        *lines, self._held = self._held.split(b"\n")
        for line in lines:
            self._read(line.removeprefix(b"data: "))

    def _read(self, line: bytes) -> None:
        if line.startswith(b"{"):
            try:
                self._usage = usage_of(json.loads(line)) or self._usage
            except ValueError:
                return

    def close(self, seconds: float) -> None:
        self._read(self._held)
        counted = self._counted
        counted.seconds += seconds
        if self.status != 200:
            counted.refused += 1
            counted.reasons.append(self._held.decode("utf-8", "replace")[:300])
            return
        counted.turns += 1
        counted.usage += self._usage or Usage(estimated=True)


def usage_of(event: dict[str, Any]) -> Usage | None:
    """The counts in a reply of the llama.cpp family, or in an event of one; None where it holds none."""
    timings = event.get("timings")
    if not isinstance(timings, dict):
        return None
    cached = int(timings.get("cache_n", 0))
    return Usage(
        prompt_tokens=cached + int(timings.get("prompt_n", 0)),
        cached_tokens=cached,
        completion_tokens=int(timings.get("predicted_n", 0)),
    )
