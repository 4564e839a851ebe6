"""Who may talk to the service."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from deepagent.addresses import host_name, same_origin

MAX_BODY = 1_000_000
"""Bytes of a request: a query is cut at 4,000 characters, and arguments of calls are seldom long."""

_OPEN = ("/healthz",)


class Guard:
    """Middleware: refuses callers without the token, web pages of other servers, and large bodies.

    Args:
        app: what it guards.
        token: what callers must show as a bearer; None asks for none, which only suits a server on loopback.
        hosts: the names under which the server may be addressed; None where the token is what protects it.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: frozenset[str] | None) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if self._hosts is not None and host_name(headers.get("host", "")) not in self._hosts:
            return refusal(421, "this server is not addressed by that name; use http://127.0.0.1")
        origin = headers.get("origin")
        if origin is not None and not same_origin(origin, headers.get("host")):
            return refusal(403, "pages of other servers may not use this one")
        if self._token is not None and scope["path"] not in _OPEN and not self._shown(headers):
            answer = refusal(401, "show the server's token: Authorization: Bearer TOKEN")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return refusal(413, f"a request has at most {MAX_BODY} bytes")
        return None

    def _shown(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        # In constant time, so that nobody can guess the token letter by letter.
        right = hmac.compare_digest(given.strip().encode("latin-1"), (self._token or "").encode())
        return right and kind.lower() == "bearer"


def refusal(status: int, why: str) -> JSONResponse:
    """An answer that says what is wrong."""
    return JSONResponse({"error": why}, status)
