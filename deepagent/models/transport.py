"""Requests to a model server: retries, timeouts, event streams. The only module that knows the HTTP library."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from deepagent.addresses import is_loopback
from deepagent.errors import (
    BrokenReplyError,
    ContextOverflowError,
    ModelError,
    ModelReplyError,
    ModelTimeoutError,
    ModelUnavailableError,
    UsageError,
)
from deepagent.models import failures
from deepagent.models.gate import Gate
from deepagent.models.sse import EventParser

T = TypeVar("T")
_API_BASE = re.compile(r"/(?:v\d+\w*|openai)$")
"""An API's own base, such as `/v1beta/openai`; anything else is a root to which `v1/` is added."""
JsonObject = dict[str, Any]


class Listener(Protocol):
    """What hears the events of one attempt."""

    @property
    def complete(self) -> bool:
        """Whether the events so far are a whole reply."""
        ...

    def hear(self, event: JsonObject) -> bool:
        """Take one event; True ends the stream and closes the connection."""
        ...


Attempt = Callable[[], tuple[JsonObject, Listener]]
"""Makes the body of one attempt, and what hears the reply to it."""

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""Longest wait for the next byte: a slow machine may read a long prompt for minutes before the first token."""
AFTER_END_SECONDS = 5.0
"""Wait for usage and `[DONE]` once the reply has said how it ends."""
AFTER_DONE_SECONDS = 0.25
"""Wait for the end of the body after that; without it the connection is not used again."""
MAX_BODY = 16 << 20
MAX_ERROR = 1 << 20
MAX_STREAM = 256 << 20


class Transport:
    """A connection pool to one server.

    Args:
        url: where paths start; credentials in it are not allowed.
        timeout: longest time of one request in seconds, from the first attempt's connection to the last byte.
        retries: further attempts after a failure that may pass.
        api_key: sent as bearer token; never part of an error.

    Raises:
        UsageError: the URL is not an HTTP URL, or holds credentials.
    """

    def __init__(self, url: str, *, timeout: float, retries: int, api_key: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number or out of range, a bracket without its pair
            valid = False
        if not valid:
            raise UsageError(f"{url.rsplit('@', 1)[-1]!r} is no URL of a model server: write http://host:port/v1")
        if "@" in parts.netloc:
            raise UsageError("the URL of a model server must hold no credentials: set `api_key` in its config")
        self.where = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._timeout = timeout
        self._retries = retries
        self._key = api_key
        self._local = is_loopback(parts.hostname or "")
        self._bare = _API_BASE.search(parts.path) is not None
        self._proxy = None if self._local else _proxy(parts.scheme, parts.hostname or "")
        self._session: aiohttp.ClientSession | None = None
        self.gate = Gate()
        """Holds requests back while the server is too busy."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=aiohttp.ClientTimeout(
                total=None,  # whole requests are limited in `_retry`, over all attempts
                sock_connect=min(CONNECT_SECONDS, self._timeout),
                sock_read=min(SILENCE_SECONDS, self._timeout),
            ),
            connector=aiohttp.TCPConnector(limit=0),  # how many runs there are is the caller's business
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # it would also send passwords from the user's .netrc
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str) -> JsonObject:
        """Fetch a JSON object. Errors as `stream`."""
        return self._object(await self.read("GET", path))

    async def post(self, path: str, body: JsonObject) -> JsonObject:
        """Send a JSON object and return the one that comes back. Errors as `stream`."""
        return self._object(await self.read("POST", path, body))

    @property
    def timeout(self) -> float:
        """Longest time of one request in seconds."""
        return self._timeout

    async def read(self, method: str, path: str, body: JsonObject | None = None) -> str:
        """Send a request and return the text that comes back. Errors as `stream`."""

        async def attempt() -> str:
            async with self._send(method, path, body) as response:
                await self._check(response)
                return await self._text(response, MAX_BODY)

        return await self._retry(attempt)

    async def stream(self, path: str, attempt: Attempt, until: float | None = None) -> None:
        """Send a JSON object and have each event of the reply heard.

        Each attempt has its own body and listener: a reply that breaks off is asked for again, and heard anew. The
        time limit ends at `until` of the loop's clock, where several requests share one.

        Raises:
            BrokenReplyError: it keeps breaking off in the middle.
            ModelUnavailableError: it cannot be reached, keeps failing, or refuses.
            ModelTimeoutError: it took too long.
            ModelReplyError: what it sent is not JSON events, or is too large.
            ContextOverflowError: it says that the prompt does not fit.
        """

        async def once() -> None:
            body, listener = attempt()
            async with self._send("POST", path, body, {"Accept": "text/event-stream"}) as response:
                await self._check(response)
                if response.content_type == "text/event-stream":
                    await self._events(response, listener)
                else:
                    listener.hear(self._object(await self._text(response, MAX_BODY)))

        await self._retry(once, until)

    async def probe(self, path: str, body: JsonObject | None = None) -> JsonObject | None:
        """Ask whether the server knows a path: its answer, or None where it does not, in whatever words.

        Raises:
            ModelError: it cannot be reached.
        """
        try:
            return await (self.get(path) if body is None else self.post(path, body))
        except (failures.StatusError, ModelReplyError):
            return None
        except BrokenReplyError as error:
            if error.__cause__ is not None:  # the connection broke; otherwise the answer was an error, with status 200
                raise
            return None

    def _send(
        self, method: str, path: str, body: JsonObject | None, headers: dict[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            raise UsageError("the model is not open: use it inside `async with`")
        path = path.removeprefix("v1/") if self._bare else path
        # A model server has no reason to send us elsewhere, least of all with the key.
        return self._session.request(
            method, f"{self.where}/{path}", json=body, headers=headers, allow_redirects=False, proxy=self._proxy
        )

    async def _retry(self, attempt: Callable[[], Awaitable[T]], until: float | None = None) -> T:
        """Make attempts until one succeeds, fails for good, or time and retries are used up."""
        last: ModelError | None = None
        try:
            async with asyncio.timeout_at(until or asyncio.get_running_loop().time() + self._timeout) as patience:
                for number in range(self._retries + 1):
                    try:
                        return await self._admitted(attempt, patience)
                    except _PassingError as error:
                        last, wait = error.cause, failures.delay(number, error.retry_after)
                    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
                        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
                            raise  # it fell silent in the middle
                        last, wait = self._broken(error), failures.delay(number, None)
                        if number == 0 and isinstance(error, aiohttp.ServerDisconnectedError):
                            wait = 0.0  # the server closed a kept connection just as it was used again
                    if number < self._retries:
                        await asyncio.sleep(wait)
        except TimeoutError as error:
            raise last or self._late() from error
        except aiohttp.ClientError as error:
            raise ModelReplyError(f"{self.where} does not speak HTTP as it should: {_said(error)}") from error
        raise last or self._late()

    async def _admitted(self, attempt: Callable[[], Awaitable[T]], patience: asyncio.Timeout) -> T:
        """Make an attempt when the gate lets it through; waiting there is no fault of the server."""
        clock, until = asyncio.get_running_loop().time, patience.when()
        began = clock()
        patience.reschedule(None)
        ticket = await self.gate.enter()
        patience.reschedule(None if until is None else until + clock() - began)
        try:
            made = await attempt()
        except _PassingError as error:
            if error.busy:
                self.gate.overloaded(ticket)
            raise
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, TimeoutError) or patience.expired():
                self.gate.overloaded(ticket)
            raise
        else:
            self.gate.served()
            return made
        finally:
            self.gate.leave()

    async def _events(self, response: aiohttp.ClientResponse, listener: Listener) -> None:
        """Have events heard until the reply is whole; what may come after its end is waited for a short time only.

        The body is read to its end, so that the connection can be used again.
        """
        clock = asyncio.get_running_loop().time
        done = False
        try:
            async with asyncio.timeout(None) as patience:
                async for data in self._data(response):
                    if done:
                        continue
                    done = data.strip() == "[DONE]"
                    if done:
                        patience.reschedule(clock() + AFTER_DONE_SECONDS)
                    elif listener.hear(self._parse(data)):
                        return
                    elif listener.complete and patience.when() is None:
                        patience.reschedule(clock() + AFTER_END_SECONDS)
        except BrokenReplyError as error:  # the server says so itself
            raise _PassingError(error, None) from error
        except (aiohttp.ClientError, TimeoutError):
            if not listener.complete and not done:
                raise
        if not listener.complete and not done:
            broken = f"{self.where} closed the connection in the middle of a reply: look at its log"
            raise _PassingError(BrokenReplyError(broken), None)

    async def _data(self, response: aiohttp.ClientResponse) -> AsyncIterator[str]:
        parser = EventParser()
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > MAX_STREAM:
                raise ModelReplyError(f"{self.where} sent more than {MAX_STREAM >> 20} MiB: it is not a model server")
            for data in parser.feed(chunk):
                yield data

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raise what a status other than success stands for."""
        if 200 <= response.status < 300:
            return
        text = self._secret(await self._text(response, MAX_ERROR))
        error = failures.from_status(self.where, response.status, text)
        if response.status in failures.RETRIED and not isinstance(error, ContextOverflowError):
            busy = response.status in (429, 503)
            raise _PassingError(error, response.headers.get("retry-after"), busy=busy)
        raise error

    async def _text(self, response: aiohttp.ClientResponse, limit: int) -> str:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise ModelReplyError(f"{self.where} answered more than {limit >> 10} KiB where an object was expected")
        return body.decode(errors="replace")

    def _object(self, text: str) -> JsonObject:
        """A whole answer, without half surrogate pairs, which can be neither logged nor sent on."""
        answer = self._parse(text)
        if "\\ud" in text.lower():
            answer = json.loads(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
        return answer

    def _parse(self, text: str) -> JsonObject:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelReplyError(f"{self.where} answered something that is not JSON: {text[:80]!r}") from error
        if not isinstance(data, dict):
            raise ModelReplyError(f"{self.where} answered JSON that is no object: {text[:80]!r}")
        if data.get("error"):
            raise failures.from_message(self.where, self._secret(text))
        return data

    def _secret(self, text: str) -> str:
        """What a server said, without the key that it may have quoted."""
        return text.replace(self._key, "***") if self._key else text

    def _broken(self, error: aiohttp.ClientError) -> ModelUnavailableError:
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            return ModelUnavailableError(f"{self.where} cannot be reached ({_said(error)}): is the server running?")
        return BrokenReplyError(f"{self.where} broke the connection ({_said(error)}): look at its log")

    def _late(self) -> ModelTimeoutError:
        return ModelTimeoutError(
            f"{self.where} did not finish in {self._timeout:g} s: raise `timeout` or shorten the reply"
        )


class _PassingError(Exception):
    """An answer that may be another one the next time."""

    def __init__(self, cause: ModelError, retry_after: str | None, *, busy: bool = False) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.retry_after = retry_after
        self.busy = busy


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for a host."""
    return None if proxy_bypass(host) else getproxies().get(scheme)
