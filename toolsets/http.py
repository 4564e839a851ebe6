"""Fetching from servers that are not trusted: where a request may go, how long it takes, how much comes back.

Beside the transport of models, the only module that knows the HTTP library.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from deepagent.errors import ToolFailedError, ToolTimeoutError, UnreachableError

_CONNECT_SECONDS = 10.0
_REDIRECTS = 5
_MAX_HEADERS = 64 << 10
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Guard:
    """What a fetcher may do.

    Args:
        hosts: the only hosts that are asked, as in a URL (`host` or `host:port`); None for any public one.
        named: hosts that the user named: these alone may lie at a private address. A redirect never adds to them.
        max_bytes: longest body that is read.
        seconds: longest time of one fetch, redirects included.
    """

    hosts: frozenset[str] | None = None
    named: frozenset[str] = frozenset()
    max_bytes: int = 5_000_000
    seconds: float = 30.0


@dataclass(frozen=True)
class Request:
    """What is sent. Its `repr` shows no header and no query: both may carry credentials."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Request({self.method} {shown(self.url)})"


@dataclass(frozen=True)
class Response:
    """What came back, after redirects.

    Attributes:
        url: where the body came from.
        kind: the media type that the server claims, in lower case and without parameters.
    """

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    kind: str = ""
    charset: str | None = None

    def text(self) -> str:
        """The body as text, in the claimed encoding where Python knows it."""
        try:
            return self.body.decode(self.charset or "utf-8", "replace")
        except (LookupError, ValueError):
            return self.body.decode("utf-8", "replace")


class Fetcher:
    """A guarded HTTP client; an async context manager.

    No proxy is used, since it would resolve names itself, and no cookie is kept.

    Args:
        guard: what it may do.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver = _GuardedResolver(self.guard.named)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=32),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(_CONNECT_SECONDS, self.guard.seconds)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            max_line_size=_MAX_HEADERS,
            max_field_size=_MAX_HEADERS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, request: Request) -> Response:
        """Send a request, follow its redirects, and read the body.

        Raises:
            UnreachableError: there was no connection, or it broke; another try may help.
            ToolTimeoutError: it took longer than the guard allows.
            ToolFailedError: the guard forbids it, or the server does not speak HTTP as it should.
        """
        where = shown(request.url)
        try:
            async with asyncio.timeout(self.guard.seconds):
                return await self._follow(request)
        except TimeoutError as error:
            raise ToolTimeoutError(f"{where} did not answer within {self.guard.seconds:g} s; try something else") from (
                error
            )
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _ForbiddenAddressError):
                raise ToolFailedError(str(error.os_error)) from error
            raise UnreachableError(f"{where} cannot be reached: {_said(error.os_error)}") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise UnreachableError(f"{where} broke the connection: {_said(error)}") from error
        except (aiohttp.ClientError, ValueError) as error:
            # A ValueError: a header that holds a line break, a URL or charset that the library refuses.
            raise ToolFailedError(f"{where} cannot be fetched: {type(error).__name__}") from error

    async def _follow(self, request: Request) -> Response:
        for _ in range(_REDIRECTS + 1):
            response = await self._once(request, self._checked(request.url))
            target = response.headers.get("location")
            if response.status not in (301, 302, 303, 307, 308) or not target:
                return response
            request = _redirected(request, urljoin(request.url, target), response.status)
        raise ToolFailedError(f"{shown(request.url)} redirects more than {_REDIRECTS} times; try another address")

    def _checked(self, url: str) -> URL:
        """The URL as it is sent, if it may be: what no resolver sees is refused here.

        One parser reads it for the check and for the request, so that they cannot differ.
        """
        try:
            # What is plain was encoded by who made it, and stays so byte for byte; `%2F` must not turn into a slash.
            read = URL(url, encoded=url.isascii() and url.isprintable() and " " not in url)
            host, port = read.host, read.explicit_port
        except (ValueError, TypeError) as error:
            raise ToolFailedError(f"{url[:80]!r} is no URL: {error}") from error
        if read.scheme not in ("http", "https") or not host:
            raise ToolFailedError(f"{url[:80]!r} is no http or https URL")
        if read.user or read.password:
            raise ToolFailedError(f"the URL {shown(url)!r} holds credentials; leave them out")
        allowed = self.guard.hosts
        if allowed is not None and host not in allowed and f"{host}:{port}" not in allowed:
            raise ToolFailedError(f"{host} is not among the allowed hosts: {', '.join(sorted(allowed))}")
        if host not in self.guard.named:
            literal = _address(host)
            if literal is not None and not is_public(literal):
                raise _forbidden(host, literal)
        return read

    async def _once(self, request: Request, url: URL) -> Response:
        if self._session is None:
            raise ToolFailedError("the toolset is closed; use it inside `async with`")
        async with self._session.request(
            request.method, url, headers=request.headers, data=request.body, allow_redirects=False
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self.guard.max_bytes:
                    limit = self.guard.max_bytes
                    raise ToolFailedError(f"{shown(request.url)} sent more than {limit} bytes; ask for less at a time")
            return Response(
                status=response.status,
                url=request.url,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=bytes(body),
                kind=response.content_type.lower(),
                charset=response.charset,
            )


class _ForbiddenAddressError(OSError):
    """A name leads to where foreign requests must not go."""


class _GuardedResolver(AbstractResolver):
    """Resolves a name once, and gives the connection the very addresses that were checked."""

    def __init__(self, named: frozenset[str]) -> None:
        self._named = named
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host not in self._named:
            for one in found:
                address = _address(one["host"])
                if address is None or not is_public(address):
                    raise _ForbiddenAddressError(str(_forbidden(host, one["host"])))
        return found

    async def close(self) -> None:
        await self._inner.close()


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address belongs to the open internet, also when it is wrapped in another one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def host_of(url: str) -> str:
    """The host of a URL, as a guard names it."""
    return urlsplit(url).hostname or ""


def shown(url: str) -> str:
    """A URL as errors and logs show it: no credentials, no query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "the URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]


def _redirected(request: Request, target: str, status: int) -> Request:
    """The next request. Only the same origin sees the headers again, which may carry credentials."""
    turned = status == 303 or (status in (301, 302) and request.method == "POST")
    headers = request.headers if _origin(target) == _origin(request.url) else {}
    if turned:
        kept = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        return replace(request, method="GET", url=target, headers=kept, body=None)
    if _origin(target) != _origin(request.url) and request.body is not None:
        raise ToolFailedError(f"{shown(request.url)} redirects a body to {shown(target)}; it is not sent there")
    return replace(request, url=target, headers=headers)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _forbidden(host: str, address: object) -> ToolFailedError:
    return ToolFailedError(f"{host} is at {address}, which is no public address; such requests are not sent")


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
