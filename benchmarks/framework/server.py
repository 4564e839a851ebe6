"""A model server that answers at once: OpenAI's chat API on loopback, as lean as asyncio allows.

It counts the requests and the time that it spends on them, so that a client's own share can be told apart.
Run: python -m benchmarks.framework.server CORE; it prints its port and serves until its input is closed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.framework import answers
from benchmarks.framework.script import MODEL

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
MODELS = {"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": answers.CONTEXT}]}


COUNTS = ("requests", "connections", "seconds", "bytes")


class Counted:
    """Requests for replies, and the seconds from their last byte to the reply's."""

    requests = 0
    connections = 0
    seconds = 0.0
    bytes = 0


class Connection(asyncio.Protocol):
    """One kept connection, one request after another."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._counted.connections += 1

    def data_received(self, data: bytes) -> None:
        began = time.perf_counter()
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end]
            found = LENGTH.search(head)
            stop = end + 4 + (int(found.group(1)) if found else 0)
            if len(self._held) < stop:
                break
            body, self._held = self._held[end + 4 : stop], self._held[stop:]
            method, path, _ = head.split(b" ", 2)
            for part in self._respond(method, path, body):
                self._transport.write(part)
            if path == b"/v1/chat/completions":
                self._counted.requests += 1
                self._counted.bytes += len(body)
        self._counted.seconds += time.perf_counter() - began

    def _respond(self, method: bytes, path: bytes, body: bytes) -> Iterator[bytes]:
        """The answer in the parts in which servers write it: the end of a stream follows its last event."""
        if (method, path) == (b"POST", b"/v1/chat/completions"):
            request = json.loads(body)
            said = answers.reply(request)
            if request.get("stream"):
                with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
                yield _stream(answers.events(said, len(body), with_usage=with_usage))
                yield b"0\r\n\r\n"
            else:
                yield _json(200, answers.whole(said, len(body)))
        elif (method, path) == (b"GET", b"/v1/models"):
            yield _json(200, MODELS)
        elif (method, path) == (b"GET", b"/stats"):
            yield _json(200, {name: getattr(self._counted, name) for name in COUNTS})
        else:
            yield _json(404, {"error": {"message": f"there is no {path.decode()}"}})


def _json(status: int, answer: Any) -> bytes:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _stream(events: list[dict[str, Any]]) -> bytes:
    parts = [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"]
    for event in [*map(json.dumps, events), "[DONE]"]:
        data = f"data: {event}\n\n".encode()
        parts.append(b"%x\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


async def main() -> None:
    os.sched_setaffinity(0, {int(sys.argv[1])})
    gc.freeze()
    counted = Counted()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counted), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    closed = asyncio.Event()
    loop.add_reader(sys.stdin, closed.set)
    await closed.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
