"""Who may talk to the server, and what the pages may do.

The page shows what models and tools wrote, and can approve what they want to do. So a foreign web site must neither
read it (DNS rebinding, framing) nor press its buttons (forged requests), and nothing shown may run or load anything.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepagent.addresses import host_name, same_origin

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with less, browsers do not say where a form's request comes from
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_COOKIE = "deepagent_token"


class Guard:
    """Middleware: refuses strangers, and adds the headers that fence the pages in.

    Args:
        app: what it guards.
        token: what callers must show, in the address once or as a bearer; None asks for none.
        hosts: the names under which the server may be addressed; None where the token is what protects it.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, fenced)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        """The answer to a request that is not let in."""
        headers = Headers(scope=scope)
        if self._hosts is not None and host_name(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This server is not addressed by that name; use http://127.0.0.1.", 421)
        origin = headers.get("origin")  # browsers say from which page a change comes
        ours = origin is not None and same_origin(origin, headers.get("host"))
        if scope["method"] not in ("GET", "HEAD") and not ours:
            return PlainTextResponse("Only this server's own pages may change anything.", 403)
        return self._token_refusal(scope, headers) if self._token else None

    def _token_refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        given = dict(query).get("token")
        if given is not None and self._is_token(given):
            # Out of the address and its history, into a cookie that scripts and other sites cannot use.
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            path = "/" + scope["path"].lstrip("/\\")  # `//name` would be another host
            answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
            answer.set_cookie(_COOKIE, given, httponly=True, samesite="strict")
            return answer
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(bearer) or self._is_token(_cookie(headers)):
            return None
        return PlainTextResponse("Open the address with ?token=..., as `deepagent view` printed it.", 401)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or "").encode())


class Forms:
    """Marks the forms of this server's pages, so that a request can show that it comes from one."""

    def __init__(self) -> None:
        self.mark = secrets.token_urlsafe(24)

    def marked(self, given: object) -> bool:
        """Whether a form brought the mark."""
        return isinstance(given, str) and hmac.compare_digest(given.encode(), self.mark.encode())


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""
