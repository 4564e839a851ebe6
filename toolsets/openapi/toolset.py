"""An OpenAPI document as a toolset: every operation is a tool that calls the server."""

from __future__ import annotations

import asyncio
import fnmatch
import re
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from deepagent.errors import ConfigError, ToolDefinitionError, ToolError, ToolFailedError, UnreachableError, UsageError
from deepagent.secrets import Redactor
from deepagent.tools import Arguments, Effect, Tool, ToolSpec
from deepagent.toolsets.http import Fetcher, Guard, Request, Response, host_of
from deepagent.toolsets.openapi.document import load
from deepagent.toolsets.openapi.exchange import build, preview, result
from deepagent.toolsets.openapi.operations import Operation, base_of, read_operations
from deepagent.toolsets.openapi.security import Additions, Authenticator, Credential, read_schemes

_PASSING = (429, 502, 503, 504)
_LONGEST_WAIT = 20.0
_FIRST_WAIT = 0.5


class OperationConfig(BaseModel):
    """What is known of one operation beyond its document."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    effect: Effect | None = None
    """By default GET is pure, PUT and DELETE are idempotent, and all else is unsafe."""
    result: str | None = None
    """JSON path (RFC 9535) of what is wanted of the response."""


class OpenApiConfig(BaseModel):
    """An API that is described by a document."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["openapi"] = "openapi"
    document: Path
    """A JSON or YAML file, also gzipped: OpenAPI 3.0 or 3.1, or Swagger 2.0."""
    name: str | None = None
    """Of the toolset; by default the API's title."""
    server: str | None = None
    """Where requests go. By default where the document says, if that is a public address. A server without a path gets
    the path that the document gives its own."""
    variables: dict[str, str] = {}
    """Values for variables in the document's server URLs."""
    credentials: dict[str, Credential] = {}
    """By the name of a security scheme in the document."""
    only: tuple[str, ...] = ("*",)
    """Patterns of tool names; the other operations are left out."""
    operations: dict[str, OperationConfig] = {}
    """By tool name."""
    rate: float | None = Field(None, gt=0)
    """Most requests per second."""
    retries: int = Field(2, ge=0, le=10)
    """Further tries after a failure that may pass. What is unsafe is only tried again when the server asks to wait."""
    seconds: float = Field(30, gt=0)
    """Longest time of one request."""
    max_bytes: int = Field(5_000_000, ge=1)
    """Longest response."""


class OpenApi:
    """The toolset.

    Args:
        config: the document, and how to call its API.

    Raises:
        ToolDefinitionError: the document cannot be used.
        ConfigError: the settings do not fit the document.

    Attributes:
        refused: operations of the document that cannot be tools, and why.
    """

    def __init__(self, config: OpenApiConfig) -> None:
        document = load(config.document)
        base = base_of(document, config.server)
        found, self.refused = read_operations(document, base, config.variables)
        self._config = config
        self._operations = [one for one in found if any(fnmatch.fnmatch(one.name, word) for word in config.only)]
        if not self._operations:
            raise ToolDefinitionError(f"{config.document}: {self._why_none(bool(found))}")
        if unknown := sorted(set(config.operations) - {one.name for one in self._operations}):
            raise ConfigError(f"{config.document}: has no operation {unknown[0]!r}")
        self.name = config.name or re.sub(r"\W+", "_", document.title).strip("_").lower()[:40] or "api"
        self._redactor = Redactor()
        server = base or next((one.server for one in self._operations if one.server), "") or ""
        self._auth = Authenticator(read_schemes(document.root, server), config.credentials, self._redactor)
        self._fetcher = Fetcher(self._guard())
        self._turn = _Turnstile(config.rate)
        self._paths = {name: _compiled(name, one.result) for name, one in config.operations.items() if one.result}
        self.tools = tuple(self._tool(one) for one in self._operations)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._fetcher)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _why_none(self, left_out: bool) -> str:
        if left_out:
            return f"has no operation that fits {', '.join(self._config.only)}"
        if self.refused:
            first = self.refused[0]
            return f"none of its operations can be a tool; {first.operation}: {first.reason}"
        return "describes no operations, so there is nothing to call"

    def _guard(self) -> Guard:
        """Only the API's own hosts; at a private address only what the user named, never what a document names."""
        urls = [one.server for one in self._operations if one.server] + self._auth.token_urls
        named = [self._config.server, *(one.token_url for one in self._config.credentials.values())]
        return Guard(
            hosts=frozenset(host_of(url) for url in urls),
            named=frozenset(host_of(url) for url in named if url),
            max_bytes=self._config.max_bytes,
            seconds=self._config.seconds,
        )

    def _tool(self, operation: Operation) -> Tool:
        known = self._config.operations.get(operation.name)
        spec = ToolSpec(
            name=operation.name,
            description=operation.description,
            parameters=operation.schema,
            toolset=self.name,
            effect=(known and known.effect) or operation.effect,
        )

        async def invoke(arguments: Arguments) -> Any:
            try:
                response = await self._call(operation, spec.effect, arguments)
                return result(operation, response, self._paths.get(operation.name))
            except UsageError as error:  # a credential is missing on this machine; the model cannot mend that
                raise ToolFailedError(f"{operation.name} cannot be called: {error}") from None
            except ToolError as error:
                raise type(error)(self._redactor.struck(str(error))) from None

        async def show(arguments: Arguments) -> str:
            names = self._auth.serves(operation.requirements) or []
            note = f"\n(with credentials for {', '.join(names)})" if names else ""
            return preview(build(operation, self._server(operation), arguments, Additions())) + note

        shaped = operation.name in self._paths  # the settings take a part of what the document describes
        return Tool(spec, invoke, show, returns=(lambda: None) if shaped else operation.returns)

    async def _call(self, operation: Operation, effect: Effect, arguments: Arguments) -> Response:
        names = self._auth.serves(operation.requirements)
        renewed = False
        while True:
            extra = await self._auth.additions(names or [], self._fetcher)
            request = build(operation, self._server(operation), arguments, extra)
            response = await self._send(request, effect)
            if response.status == 401 and names and not renewed and self._auth.forget(names):
                renewed = True
                continue
            break
        if response.status in (401, 403) and names is None:
            wanted = " or ".join(" and ".join(one) for one in operation.requirements)
            raise ToolFailedError(
                f"{operation.name} needs credentials for {wanted}, and none are set; use another tool"
            )
        headers = {name: self._redactor.struck(value) for name, value in response.headers.items()}
        return replace(response, headers=headers, body=self._redactor.struck_bytes(response.body))

    def _server(self, operation: Operation) -> str:
        if operation.server is None:
            raise ToolFailedError(f"{operation.name} cannot be called: its document names no server, so set `server`")
        return operation.server

    async def _send(self, request: Request, effect: Effect) -> Response:
        """Send, and again where a failure may pass and a repetition does no harm."""
        for number in range(self._config.retries + 1):
            last = number == self._config.retries
            wait: float | None = _FIRST_WAIT * 2**number
            await self._turn.wait()
            try:
                response = await self._fetcher.fetch(request)
            except UnreachableError:
                if last or effect == "unsafe":
                    raise
            else:
                asked = _seconds(response.headers.get("retry-after"))
                if response.status not in _PASSING or last or (effect == "unsafe" and asked is None):
                    return response
                wait = asked if asked is not None else wait
                if wait is not None and wait > _LONGEST_WAIT:
                    return response
            await asyncio.sleep(wait or 0.0)
        raise AssertionError("the last try returns or raises")


class _Turnstile:
    """Lets requests through at most so many times a second."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._gap
        if at > now:
            await asyncio.sleep(at - now)


def _seconds(told: str | None) -> float | None:
    """A Retry-After in seconds; dates, which need a clock in common, are not asked for."""
    return float(told) if told is not None and re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", told.strip()) else None


def _compiled(name: str, path: str) -> Any:
    import jsonpath_rfc9535

    try:
        return jsonpath_rfc9535.compile(path)
    except jsonpath_rfc9535.JSONPathError as error:
        raise ConfigError(f"operations.{name}.result: {' '.join(str(error).split())}") from error
