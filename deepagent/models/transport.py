"""Requests to a model server: retries, timeouts, event streams. The only module that knows the HTTP library."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx

from deepagent.errors import ModelError, ModelReplyError, ModelTimeoutError, ModelUnavailableError, UsageError
from deepagent.models import failures
from deepagent.models.sse import EventParser

T = TypeVar("T")
JsonObject = dict[str, Any]
OnEvent = Callable[[JsonObject], bool]
"""Takes one event; True ends the stream and closes the connection."""

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""Longest wait for the next byte: a slow machine may read a long prompt for minutes before the first token."""
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
            raise UsageError("the URL of a model server must hold no credentials: set `api_key_env` in its config")
        self.where = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._timeout = timeout
        self._retries = retries
        self._key = api_key
        self._local = _is_loopback(parts.hostname or "")
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        silence = min(SILENCE_SECONDS, self._timeout)
        self._client = httpx.AsyncClient(
            base_url=self.where + "/",
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=httpx.Timeout(silence, connect=min(CONNECT_SECONDS, self._timeout), pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=not self._local,  # a proxy from the environment must not see requests to this machine
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def get(self, path: str) -> JsonObject:
        """Fetch a JSON object. Errors as `stream`."""
        return await self._request("GET", path, None)

    async def post(self, path: str, body: JsonObject) -> JsonObject:
        """Send a JSON object and return the one that comes back. Errors as `stream`."""
        return await self._request("POST", path, body)

    async def stream(self, path: str, body: JsonObject, on_event: OnEvent) -> bool:
        """Send a JSON object and hand over each event of the reply.

        An attempt is repeated only as long as no event was handed over, since the caller cannot take one back.

        Returns:
            Whether the server ended the stream in due form (`[DONE]`, or one whole JSON body).

        Raises:
            ModelUnavailableError: it cannot be reached, keeps failing, refuses, or broke off.
            ModelTimeoutError: it took too long.
            ModelReplyError: what it sent is not JSON events, or is too large.
            ContextOverflowError: it says that the prompt does not fit.
        """
        handed = 0

        def count(event: JsonObject) -> bool:
            nonlocal handed
            handed += 1
            return on_event(event)

        async def attempt(client: httpx.AsyncClient) -> bool:
            async with client.stream("POST", path, json=body, headers={"Accept": "text/event-stream"}) as response:
                await _check(response, self.where)
                if "event-stream" in response.headers.get("content-type", ""):
                    ended = await self._events(response, count)
                    if not ended and handed == 0:
                        raise _PassingError(ModelUnavailableError(f"{self.where} closed the connection unasked"), None)
                    return ended
                count(await self._json(response))
                return True

        return await self._retry(attempt, may_repeat=lambda: handed == 0)

    async def _request(self, method: str, path: str, body: JsonObject | None) -> JsonObject:
        async def attempt(client: httpx.AsyncClient) -> JsonObject:
            async with client.stream(method, path, json=body) as response:
                await _check(response, self.where)
                return await self._json(response)

        return await self._retry(attempt, may_repeat=lambda: True)

    async def probe(self, path: str, body: JsonObject | None = None) -> JsonObject | None:
        """Ask whether the server knows a path: its answer, or None where it does not.

        Raises:
            ModelError: it knows nobody without the right key, or cannot be asked.
        """
        try:
            return await (self.get(path) if body is None else self.post(path, body))
        except failures.RefusedError as error:
            if error.status in (401, 403):
                raise
            return None
        except ModelReplyError:
            return None

    async def _retry(
        self, attempt: Callable[[httpx.AsyncClient], Awaitable[T]], *, may_repeat: Callable[[], bool]
    ) -> T:
        """Make attempts until one succeeds, fails for good, or time and retries are used up."""
        if self._client is None:
            raise UsageError("the model is not open: use it inside `async with`")
        last: ModelError | None = None
        try:
            async with asyncio.timeout(self._timeout):
                for number in range(self._retries + 1):
                    try:
                        return await attempt(self._client)
                    except _PassingError as error:
                        last, wait = error.cause, failures.delay(number, error.retry_after)
                    except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
                        last, wait = self._broken(error), failures.delay(number, None)
                        if not may_repeat():
                            raise last from error
                        if number == 0 and isinstance(error, httpx.RemoteProtocolError):
                            wait = 0.0  # the server closed a kept connection just as it was used again
                    if number < self._retries:
                        await asyncio.sleep(wait)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise last or self._late() from error
        except httpx.HTTPError as error:
            raise ModelReplyError(f"{self.where} does not speak HTTP as it should: {_said(error)}") from error
        raise last or self._late()

    async def _events(self, response: httpx.Response, on_event: OnEvent) -> bool:
        parser = EventParser()
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_STREAM:
                raise ModelReplyError(f"{self.where} sent more than {MAX_STREAM >> 20} MiB: it is not a model server")
            for data in parser.feed(chunk):
                if data.strip() == "[DONE]":
                    return True
                if on_event(self._parse(data)):
                    return False
        return False

    async def _json(self, response: httpx.Response) -> JsonObject:
        text = await _read(response, MAX_BODY)
        answer = self._parse(text)
        if "\\ud" in text.lower():  # perhaps half a surrogate pair, which can be neither logged nor sent on
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
            raise failures.from_message(self.where, text)
        return data

    def _broken(self, error: httpx.TransportError) -> ModelUnavailableError:
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return ModelUnavailableError(f"{self.where} cannot be reached ({_said(error)}): is the server running?")
        return ModelUnavailableError(f"{self.where} broke the connection ({_said(error)}): look at its log")

    def _late(self) -> ModelTimeoutError:
        return ModelTimeoutError(
            f"{self.where} did not finish in {self._timeout:g} s: raise `timeout` or shorten the reply"
        )


class _PassingError(Exception):
    """An answer that may be another one the next time."""

    def __init__(self, cause: ModelError, retry_after: str | None) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.retry_after = retry_after


async def _check(response: httpx.Response, where: str) -> None:
    """Raise what a status other than success stands for."""
    if response.is_success:
        return
    error = failures.from_status(where, response.status_code, await _read(response, MAX_ERROR))
    if response.status_code in failures.RETRIED and isinstance(error, ModelUnavailableError):
        raise _PassingError(error, response.headers.get("retry-after"))
    raise error


async def _read(response: httpx.Response, limit: int) -> str:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise ModelReplyError(f"the server answered more than {limit >> 10} KiB where an object was expected")
    return body.decode(errors="replace")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
