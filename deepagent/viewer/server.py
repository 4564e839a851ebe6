"""Serving the page."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from pathlib import Path

import uvicorn

from deepagent.addresses import LOOPBACK, is_loopback
from deepagent.errors import UsageError
from deepagent.viewer.app import create_app


class Server:
    """The viewer's server, bound to its address as soon as it is made.

    Args:
        store: the run store that is shown.
        host: address or name to listen at; beyond this machine, callers need a token.
        port: 0 takes a free one.
        token: what callers must show. Where one is needed and none is given, it is made up.

    Raises:
        UsageError: it cannot listen there.
    """

    def __init__(self, store: Path, host: str = "127.0.0.1", port: int = 0, token: str | None = None) -> None:
        loopback = is_loopback(host)
        self._token = token or (None if loopback else secrets.token_urlsafe(24))
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server((host, port), family=family)
        except (OSError, OverflowError, UnicodeError) as error:
            raise UsageError(f"cannot listen at {host}, port {port}: {error}; give another --host or --port") from error
        self._host, self._port = host, self._socket.getsockname()[1]
        self._app = create_app(store, token=self._token, hosts=LOOPBACK | {host.lower()} if loopback else None)

    @property
    def url(self) -> str:
        """Where the page is, with the token if one is needed."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/" + (f"?token={self._token}" if self._token else "")

    def run(self) -> None:
        """Serve until interrupted."""
        config = uvicorn.Config(
            self._app,
            lifespan="on",
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,  # pages that follow a run would never leave by themselves
        )
        with suppress(KeyboardInterrupt):  # raised anew by uvicorn once everything is closed
            uvicorn.Server(config).run(sockets=[self._socket])
