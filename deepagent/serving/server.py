"""Running the service until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from deepagent.addresses import LOOPBACK, is_loopback
from deepagent.errors import UsageError
from deepagent.serving.app import create_app
from deepagent.serving.batching import BatchSearch
from deepagent.serving.calls import Caller
from deepagent.serving.mcp import mcp_server

_GRACE = 10
"""Seconds that requests have to end after the signal to stop."""


class Server:
    """The HTTP server, bound to its address as soon as it is made.

    Args:
        searcher: searches the index.
        caller: calls its tools.
        host: address or name to listen at.
        port: 0 takes a free one.
        token: what callers must show.

    Raises:
        UsageError: others could reach it without a token, or it cannot listen there.
    """

    def __init__(self, searcher: BatchSearch, caller: Caller, host: str, port: int, token: str | None) -> None:
        loopback = is_loopback(host)
        if not loopback and not token:
            raise UsageError(
                f"at {host} others reach it, so callers must show a token: give --token or --host 127.0.0.1"
            )
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family)
        except (OSError, OverflowError, UnicodeError) as error:
            raise UsageError(f"cannot listen at {host}, port {port}: {error}; give another --host or --port") from error
        named = f"[{host}]" if ":" in host else host
        self.url = f"http://{named}:{self._socket.getsockname()[1]}"
        hosts = LOOPBACK | {host.lower()} if loopback else None
        self._app = create_app(searcher, caller, token=token or None, hosts=hosts)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; requests that are under way are answered first."""
        config = uvicorn.Config(
            self._app,
            lifespan="on",
            log_level="error",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE,
        )
        asyncio.run(_Uvicorn(config).serve_until_told(self._socket))


class _Uvicorn(uvicorn.Server):
    """Ends quietly at a signal, where uvicorn would raise it once more after its own end."""

    async def serve_until_told(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        await self.serve(sockets=[listening])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_stdio(searcher: BatchSearch, caller: Caller) -> None:
    """Speak MCP over stdin and stdout until stdin ends."""
    async with searcher, caller:
        await mcp_server(searcher, caller).run_stdio_async()
