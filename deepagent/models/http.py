"""Models behind OpenAI-compatible servers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from deepagent.control import neutralise
from deepagent.errors import ModelError, ModelReplyError, ModelTimeoutError, UsageError
from deepagent.grammar import Grammar
from deepagent.models import servers
from deepagent.models.base import Generated, Listen, Sampling, Usage, room_for_reply
from deepagent.models.config import Api
from deepagent.models.failures import RefusedError
from deepagent.models.reply import Reply
from deepagent.models.servers import ChatServer, Server
from deepagent.models.servers.base import Terms, function_list
from deepagent.models.servers.chat import read_answer
from deepagent.models.transport import JsonObject, Transport
from deepagent.models.turns import Turns
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, Message, Segment, Window

_ABORT_SECONDS = 5.0
_MOST_ADAPTIONS = 8
NOTHING = Function(name="nothing", description="Does nothing.", parameters={"type": "object", "properties": {}})
"""What a server is offered only to see whether it takes functions."""


class HttpModel:
    """A model behind any OpenAI-compatible server.

    What the server is (llama.cpp family, vLLM, SGLang, or one that takes messages only) is found out on entry.

    Args:
        url: the API's base, such as `http://127.0.0.1:8000/v1`.
        model: name at the server; None takes the only one that it serves.
        api: one continuing stream (`completions`), a conversation (`chat`), or the best that the server offers.
        context: window in tokens; None believes the server.
        timeout: longest time of one request in seconds.
        retries: further attempts after a failure that may pass.
        api_key: sent as bearer token; never shown.
        turns: whether what the model observes is the user's turn (better for small instruct models), or part of one
            continuing stream (the paper's way, for reasoning models). A server that takes messages always takes turns.
        functions: whether a server that takes messages takes functions too; None asks it, with a reply of one token.

    Raises:
        UsageError: the URL cannot be one.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        api: Api = "auto",
        context: int | None = None,
        timeout: float = 1800.0,
        retries: int = 4,
        api_key: str | None = None,
        turns: bool = False,
        functions: bool | None = None,
    ) -> None:
        root = url.rstrip("/").removesuffix("/v1")
        self._transport = Transport(root, timeout=timeout, retries=retries, api_key=api_key)
        self._model = model
        self._api = api
        self._context = context
        self._turns = turns
        self._functions = functions
        self._server: Server | None = None
        self._beside: ChatServer | None = None
        self._marks: Turns | None = None
        self._holds = True  # whether the server holds answers to a schema, as far as is known
        self._aborts: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"HttpModel({self._transport.where!r}, {self._model!r})"

    @property
    def server(self) -> Server:
        """What the model stands on. Known once the model is entered."""
        return self._opened

    @property
    def transport(self) -> Transport:
        """The connection to the server's root."""
        return self._transport

    @property
    def name(self) -> str:
        """The model's name at the server."""
        return self._server.model if self._server else self._model or self._transport.where

    @property
    def context(self) -> int:
        """Window in tokens."""
        return self._opened.context

    @property
    def continues(self) -> bool:
        """Where the server is given one stream; one that takes messages cannot be made to begin in a certain way."""
        return not isinstance(self._opened, ChatServer)

    @property
    def functions(self) -> bool:
        """Where the server is given messages and takes functions with them."""
        return isinstance(self._opened, ChatServer) and bool(self._functions)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        try:
            self._server = await servers.detect(self._transport, self._model, self._api, self._context)
            if self._turns and not isinstance(self._server, ChatServer):
                self._marks = await Turns.learn(self._server)
            if self._functions is None and isinstance(self._server, ChatServer):
                self._functions = await self.takes_functions()
        except BaseException:
            await self._transport.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._aborts:
            await asyncio.gather(*self._aborts)
        await self._transport.__aexit__(kind, error, traceback)

    async def takes_functions(self) -> bool:
        """Ask a server that takes messages whether it takes functions with them.

        Raises:
            ModelError: it cannot be asked.
        """
        server = self._chat
        hello, tools = [Message(role="user", content="hello")], function_list([NOTHING])

        def body(id: str) -> JsonObject:
            return server.converse(hello, Sampling(), 1) | {"tools": tools, "tool_choice": "auto"}

        try:
            await self._exchange(server, body, read_answer, None)
        except RefusedError as error:
            if error.status in (401, 403):
                raise
            return False
        return True

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """See `Model.prompt`."""
        return await self._opened.prompt(messages, functions)

    async def lead(self, text: str) -> Segment | None:
        """See `Model.lead`."""
        return await self._opened.observation(text) if self._marks is not None else None

    async def observation(self, text: str, *, before: str = "", after: str = "", answers: str | None = None) -> Segment:
        """See `Model.observation`."""
        if self._marks is not None:
            return await self._marks.observation(self._opened, text, before, after)
        segment = await self._opened.observation(before + text + (after if self.continues else ""))
        if answers is None:
            return segment
        message = Message(role="tool", content=segment.text, answers=answers)
        return segment.model_copy(update={"message": message})

    async def generate(
        self,
        window: Window,
        sampling: Sampling,
        *,
        stop: Sequence[str] = (),
        listen: Listen | None = None,
        grammar: Grammar | None = None,
        calls: bool = True,
    ) -> Generated:
        """See `Model.generate`. Ending by the listener's word closes the connection, which stops the server too.

        Raises:
            ContextOverflowError: the window leaves no room for a reply.
            ModelUnavailableError: the server cannot be reached, keeps failing, or keeps breaking off.
            ModelTimeoutError: it took too long.
            ModelReplyError: what it sent is no reply.
        """
        server = self._opened
        limit = room_for_reply(self.context, window.tokens, sampling)
        terms = Terms(sampling, limit, tuple(stop), grammar, calls)
        generated = await self._ask(server, lambda id: server.request(window, terms, id), window.tokens, listen)
        if window.functions:
            return generated
        return generated.model_copy(update={"segment": generated.segment.model_copy(update={"message": None})})

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        """See `Model.chat`. A server that refuses the schema is asked without it. Raises as `generate`."""
        server = self._chat
        messages = [message.model_copy(update={"content": neutralise(message.content)}) for message in messages]
        asked = (await self._opened.prompt(messages)).tokens
        limit = room_for_reply(self.context, asked, sampling)
        held = self._opened.held(schema) if schema is not None and self._holds else {}

        def body(id: str) -> JsonObject:
            return server.converse(messages, sampling, limit) | held

        try:
            return await self._ask(server, body, asked, read=read_answer)
        except RefusedError as error:
            if not held or error.status not in (400, 422):
                raise
            self._holds, held = False, {}
            return await self._ask(server, body, asked, read=read_answer)

    async def _ask(
        self,
        server: Server,
        build: Callable[[str], JsonObject],
        asked: int,
        listen: Listen | None = None,
        read: Callable[[JsonObject, Reply], None] | None = None,
    ) -> Generated:
        """One reply to a prompt of `asked` tokens."""
        started = time.perf_counter()
        reply = await self._exchange(server, build, read or server.read, listen)
        if not reply.seen:
            raise ModelReplyError(f"{self._transport.where} sent a reply without choices: is it a model server?")
        segment = await server.settle(reply)
        usage = reply.usage or Usage(prompt_tokens=asked, completion_tokens=segment.tokens, estimated=True)
        seconds = time.perf_counter() - started
        return Generated(segment=segment, finish=reply.finish or "stop", usage=usage, seconds=seconds)

    async def _exchange(
        self,
        server: Server,
        build: Callable[[str], JsonObject],
        read: Callable[[JsonObject, Reply], None],
        listen: Listen | None,
    ) -> Reply:
        """Send what `build` makes for a new request id, until a reply has ended; leave out what the server refuses."""
        id, body, reply = "", {}, Reply(read)

        def attempt() -> tuple[JsonObject, Reply]:
            nonlocal id, body, reply
            id = secrets.token_hex(8)
            body, reply = build(id), Reply(read, listen() if listen else None)
            return body, reply

        until = asyncio.get_running_loop().time() + self._transport.timeout
        adaptions = 0
        try:
            while True:
                try:
                    await self._transport.stream(server.path, attempt, until)
                    break
                except ModelError as error:
                    adaptions += 1
                    if adaptions > _MOST_ADAPTIONS or not server.adapt(error, body):
                        raise
        except (asyncio.CancelledError, ModelTimeoutError):
            self._abort(server, id)
            raise
        if reply.finish == "watch":
            self._abort(server, id)
        return reply

    def _abort(self, server: Server, id: str) -> None:
        """End a request by its id, too: through a proxy, a closed connection may tell the server nothing."""
        if server.abort_path is None or not id:
            return

        async def send(path: str) -> None:
            with contextlib.suppress(ModelError, TimeoutError):
                async with asyncio.timeout(_ABORT_SECONDS):
                    await self._transport.read("POST", path, server.abort(id))

        task = asyncio.create_task(send(server.abort_path))
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)

    @property
    def _chat(self) -> ChatServer:
        """The server as one that takes messages, which every server is besides."""
        opened = self._opened
        if isinstance(opened, ChatServer):
            return opened
        if self._beside is None:
            self._beside = ChatServer(opened.model, opened.context, opened.neutral)
        return self._beside

    @property
    def _opened(self) -> Server:
        if self._server is None:
            raise UsageError("the model is not open: use it inside `async with`")
        return self._server
