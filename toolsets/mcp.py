"""MCP servers as toolsets, over stdio or streamable HTTP, by the official SDK (the extra `mcp`)."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import os
import re
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deepagent.errors import ToolError, ToolFailedError, ToolTimeoutError, UsageError
from deepagent.secrets import Redactor, Secret
from deepagent.tools import Arguments, Effect, JsonSchema, Tool, ToolSpec, told
from deepagent.toolsets.mcp_content import Binary, content, contents, visible

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import mcp_types
    from mcp import Client

_MAX_TOOLS = 20_000
_STDERR_KEPT = 2000


class McpConfig(BaseModel):
    """An MCP server: a command to start, or a URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["mcp"] = "mcp"
    command: tuple[str, ...] = ()
    """The program and its arguments; it speaks over stdin and stdout."""
    url: str | None = None
    """Of a server that speaks streamable HTTP."""
    name: str | None = None
    """Of the toolset; by default what the server calls itself."""
    env: dict[str, Secret] = {}
    """Variables for the command, beside PATH, HOME and the like; it sees no others of this process."""
    folder: Path | None = None
    """Where the command is started."""
    headers: dict[str, Secret] = {}
    """Headers for the URL."""
    only: tuple[str, ...] = ("*",)
    """Patterns of tool names; the others are left out."""
    effects: dict[str, Effect] = {}
    """By tool name. By default what the server hints at, and unsafe where it says nothing."""
    seconds: float = Field(60, gt=0)
    """Longest silence of a call; a report of progress counts as a sign of life."""
    start_seconds: float = Field(30, gt=0)
    """Longest time to start and list the tools."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either command or url")
        return self


class McpServer:
    """The toolset of one server. Its tools are known once it is entered.

    One task owns the connection: it opens and closes it, whoever calls. A connection that broke is opened again by the
    next call.

    Args:
        config: the server.
    """

    def __init__(self, config: McpConfig) -> None:
        self._config = config
        self.name = config.name or ""
        self.tools: tuple[Tool, ...] = ()
        self._redactor = Redactor()
        self._stderr = _Tail()
        self._owner: asyncio.Task[None] | None = None
        self._client: asyncio.Future[Client] | None = None
        self._over = asyncio.Event()
        self._closing = False

    async def __aenter__(self) -> Self:
        _require_sdk()
        self._closing = False
        try:
            await self._connected()
        except ToolError as error:
            await self._close()
            raise UsageError(str(error)) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        self._closing = True
        self._over.set()
        if self._owner is not None:
            await asyncio.wait([self._owner])

    async def _connected(self) -> Client:
        """The open connection; the first who needs one has it opened, and all wait for the same."""
        if self._client is None:
            if self._owner is not None:
                await asyncio.wait([self._owner])  # the end of the connection before
            if self._closing:
                raise ToolFailedError(f"{self._shown} is closed")
        if self._client is None:  # nobody else came first meanwhile
            self._client = asyncio.get_running_loop().create_future()
            self._over.clear()
            self._owner = asyncio.create_task(self._own(self._client))
        return await asyncio.shield(self._client)

    async def _own(self, ready: asyncio.Future[Client]) -> None:
        """Open the connection, hold it until it is over, close it; all in this one task."""
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._config.start_seconds):
                    client = await stack.enter_async_context(self._open())
                    await stack.enter_async_context(self._listening(client))
                    await self._list(client)
                ready.set_result(client)
                await self._over.wait()
                self._client = None
        except Exception as error:  # whatever the SDK, the process or the network raise, in groups too
            self._client = None
            if ready.done():
                return  # an unclean end of what had been over already
            why = f"it did not answer within {self._config.start_seconds:g} s" if _is_timeout(error) else _first(error)
            said = self._stderr.text()
            ready.set_exception(
                ToolFailedError(
                    self._redactor.struck(f"{self._shown} cannot be used: {why}{said and f'; it said: {said}'}")
                )
            )
            ready.exception()  # looked at, also where nobody waits any more

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Client]:
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamable_http_client

        config = self._config
        async with AsyncExitStack() as stack:
            if config.url is not None:
                import httpx2

                headers = {name: self._reveal(secret) for name, secret in config.headers.items()}
                http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=config.seconds))
                transport: Any = streamable_http_client(config.url, http_client=http)
            else:
                env = {name: self._reveal(secret) for name, secret in config.env.items()}
                server = StdioServerParameters(
                    command=config.command[0],
                    args=list(config.command[1:]),
                    env=env,
                    cwd=config.folder,
                    encoding_error_handler="replace",
                )
                transport = stdio_client(server, errlog=stack.enter_context(self._stderr.opened()))
            yield await stack.enter_async_context(Client(transport, message_handler=self._heard, cache=None))

    def _reveal(self, secret: Secret) -> str:
        value = secret.reveal()
        self._redactor.learn([value])
        return value

    async def _heard(self, message: Any) -> None:
        """The server says that its tools have changed: they are listed again, and so indexed again."""
        import mcp_types

        if isinstance(message, mcp_types.ToolListChangedNotification) and self._client and self._client.done():
            client = self._client.result()
            self._relisting = asyncio.create_task(self._list_again(client))

    @asynccontextmanager
    async def _listening(self, client: Client) -> AsyncIterator[None]:
        """Hear of changes from now on: on a stream of its own from newer servers; older ones send to `_heard`."""
        begun = asyncio.Event()
        task = asyncio.create_task(self._listen(client, begun))
        try:
            await begun.wait()  # or a change between listing and listening would be missed
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _listen(self, client: Client, begun: asyncio.Event) -> None:
        from mcp.client.subscriptions import ListenNotSupportedError

        try:
            async with client.listen(tools_list_changed=True) as changes:
                begun.set()
                async for _ in changes:
                    await self._list_again(client)
        except ListenNotSupportedError:
            pass
        except Exception as error:  # changes are not heard of any more; calls go on
            logging.getLogger(__name__).info("%s tells of no changes: %s", self._shown, _first(error))
        finally:
            begun.set()

    async def _list_again(self, client: Client) -> None:
        try:
            await self._list(client)
        except Exception as error:  # the old list stands; the next call will meet what is broken
            logging.getLogger(__name__).info("%s did not list its tools again: %s", self._shown, _first(error))

    async def _list(self, client: Client) -> None:
        called = client.server_info.name if client.server_info else ""
        self.name = self._config.name or re.sub(r"\W+", "_", called)[:40].strip("_").lower() or "mcp"
        made: dict[str, Tool] = {}
        cursor: str | None = None
        while client.server_capabilities.tools is not None and len(made) < _MAX_TOOLS:
            page = await client.list_tools(cursor=cursor)
            for one in page.tools:
                if any(fnmatch.fnmatch(one.name, word) for word in self._config.only) and one.name:
                    made.setdefault(one.name, self._tool(one))
            if page.next_cursor is None or page.next_cursor == cursor:
                break
            cursor = page.next_cursor
        if client.server_capabilities.resources is not None:
            made.setdefault("read_resource", self._reader())
        self.tools = tuple(made.values())

    def _tool(self, listed: mcp_types.Tool) -> Tool:
        spec = ToolSpec(
            name=listed.name,
            description=visible(listed.description or listed.title or ""),
            parameters=listed.input_schema,
            toolset=self.name,
            effect=self._config.effects.get(listed.name) or _hinted(listed.annotations),
        )

        async def invoke(arguments: Arguments) -> Any:
            now = next((tool.spec for tool in self.tools if tool.name == spec.name), None)
            if now is None:
                raise ToolFailedError(f"{spec.name} is no longer offered by {self.name}; search for another tool")
            if now.parameters != spec.parameters:
                raise ToolFailedError(f"{spec.name} has changed and was not called. It is now: {now.signature}")
            return await self._call(spec, arguments)

        return Tool(spec=spec, invoke=invoke, returns=lambda: _unwrapped(listed.output_schema))

    def _reader(self) -> Tool:
        spec = ToolSpec(
            name="read_resource",
            description=f"Reads a resource of {self.name} that a result refers to.",
            parameters={"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]},
            toolset=self.name,
            effect="pure",
        )

        async def invoke(arguments: Arguments) -> Any:
            client = await self._connected()
            try:
                found = await client.read_resource(arguments["uri"])
            except Exception as error:
                raise self._failed(spec, error) from error
            return self._told(spec, [contents(one) for one in found.contents])

        return Tool(spec=spec, invoke=invoke)

    async def _call(self, spec: ToolSpec, arguments: Arguments) -> Any:
        """Call, and once more over a new connection where the old one broke and a repetition does no harm."""
        again = spec.effect != "unsafe"
        while True:
            client = await self._connected()
            try:
                answer = await self._attempt(client, spec, arguments)
            except ToolError:
                raise
            except Exception as error:  # a server's refusal, a broken connection, an answer that is none
                broken = self._give_up(client, error)
                if broken and again:
                    again = False
                    continue
                raise self._failed(spec, error, broken) from error
            return self._result(spec, answer)

    async def _attempt(self, client: Client, spec: ToolSpec, arguments: Arguments) -> mcp_types.CallToolResult:
        seconds = self._config.seconds
        limit = asyncio.timeout(seconds)
        reached = ""

        async def alive(progress: float, total: float | None, message: str | None) -> None:
            nonlocal reached
            limit.reschedule(asyncio.get_running_loop().time() + seconds)
            reached = f"; it had come to {progress:g}{f' of {total:g}' if total else ''} {message or ''}".rstrip()

        try:
            async with limit:
                return await client.call_tool(spec.name, arguments, progress_callback=alive)
        except TimeoutError as error:
            what = f"{spec.name} was silent for {seconds:g} s{visible(reached)}"
            raise ToolTimeoutError(f"{what}; try something else") from error

    def _give_up(self, client: Client, error: Exception) -> bool:
        """Whether the connection is broken; then the next call opens a new one."""
        from mcp import MCPError

        if isinstance(error, MCPError) and error.error.code != _CONNECTION_CLOSED:
            return False
        if self._client is not None and self._client.done() and self._client.result() is client:
            self._client = None
            self._over.set()
        return True

    def _failed(self, spec: ToolSpec, error: Exception, broken: bool = False) -> ToolFailedError:
        said = self._stderr.text() if broken else ""
        unknown = "; whether it had an effect is not known" if broken and spec.effect == "unsafe" else ""
        why = f"{self._shown} broke off{unknown}{said and f'; it said: {said}'}" if broken else _first(error)
        return ToolFailedError(self._redactor.struck(visible(f"{spec.name} failed: {why}")))

    def _result(self, spec: ToolSpec, answer: mcp_types.CallToolResult) -> Any:
        text = self._told(spec, [content(one) for one in answer.content])
        if answer.is_error:
            raise ToolFailedError(f"{spec.name} failed: {text or 'the server does not say why'}")
        if answer.structured_content is None or any(one.type not in ("text",) for one in answer.content):
            return text
        value = answer.structured_content
        wrapped = isinstance(value, dict) and set(value) == {"result"}  # how the SDK's servers wrap what is no object
        return self._redactor.struck_value(value["result"] if wrapped else value)

    def _told(self, spec: ToolSpec, pieces: list[str | Binary]) -> str:
        """The pieces of a result as text; what no text can show is kept as a file of the run."""
        texts = (one if isinstance(one, str) else one.kept(spec.name, self._redactor) for one in pieces)
        return self._redactor.struck("\n".join(texts))

    @property
    def _shown(self) -> str:
        where = self._config.url.partition("?")[0] if self._config.url else " ".join(self._config.command)[:80]
        return f"the MCP server {self.name or where!r}"


_CONNECTION_CLOSED = -32000


class _Tail:
    """The end of what a process writes to stderr. It is read as fast as it comes, so that a flood blocks nobody."""

    def __init__(self) -> None:
        self._kept = b""

    def opened(self) -> TextIO:
        """The writing end, for the process."""
        reading, writing = os.pipe()
        self._kept = b""

        def drain() -> None:
            with open(reading, "rb", buffering=0) as source:
                while piece := source.read(65536):
                    self._kept = (self._kept + piece)[-_STDERR_KEPT:]

        threading.Thread(target=drain, daemon=True, name="mcp-stderr").start()
        return open(writing, "w", encoding="utf-8")

    def text(self) -> str:
        """What was written last, in one line."""
        return visible(" ".join(self._kept.decode("utf-8", "replace").split()))[-300:]


def _require_sdk() -> None:
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise UsageError("MCP servers need the extra: pip install 'deepagent[mcp]'") from error
    logging.getLogger("mcp").addHandler(logging.NullHandler())  # who wants its log configures it; stderr is the user's


def _unwrapped(schema: JsonSchema | None) -> JsonSchema | None:
    """The schema of results, without the object that the SDK's servers wrap around what is none."""
    inner = schema.get("properties") if schema else None
    if schema is None or not isinstance(inner, dict) or set(inner) != {"result"}:
        return schema
    return {**inner["result"], **({"$defs": schema["$defs"]} if "$defs" in schema else {})}


def _hinted(annotations: mcp_types.ToolAnnotations | None) -> Effect:
    if annotations is not None and annotations.read_only_hint:
        return "pure"
    return "idempotent" if annotations is not None and annotations.idempotent_hint else "unsafe"


def _first(error: BaseException) -> str:
    """The first cause, out of the groups that the SDK wraps it in, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(told(error).split())[:300] if isinstance(error, Exception) else type(error).__name__


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError)
