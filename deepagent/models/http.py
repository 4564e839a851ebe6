"""Models behind OpenAI-compatible servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from deepagent.errors import ContextOverflowError, ModelReplyError, ModelUnavailableError, UsageError
from deepagent.models import servers
from deepagent.models.base import Generated, Sampling, Usage, Watch
from deepagent.models.failures import RefusedError
from deepagent.models.reply import Reply
from deepagent.models.servers import Api, ChatServer, Server
from deepagent.models.servers.base import neutralise
from deepagent.models.servers.chat import read_answer
from deepagent.models.transport import JsonObject, Transport
from deepagent.models.turns import Turns
from deepagent.tools import JsonSchema
from deepagent.transcript import Message, Segment, Window

MINIMUM_REPLY = 16
"""Tokens; with less room than that no reply is worth asking for."""


class HttpModel:
    """A model behind any OpenAI-compatible server.

    What the server is (llama.cpp family, vLLM, or one that takes messages only) is found out on entry.

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
    ) -> None:
        root = url.rstrip("/").removesuffix("/v1")
        self._transport = Transport(root, timeout=timeout, retries=retries, api_key=api_key)
        self._model = model
        self._api = api
        self._context = context
        self._turns = turns
        self._server: Server | None = None
        self._marks: Turns | None = None

    def __repr__(self) -> str:
        return f"HttpModel({self._transport.where!r}, {self._model!r})"

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

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        try:
            self._server = await servers.detect(self._transport, self._model, self._api, self._context)
            if self._turns and not isinstance(self._server, ChatServer):
                self._marks = await Turns.learn(self._server)
        except BaseException:
            await self._transport.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, traceback)

    async def prompt(self, messages: Sequence[Message]) -> Segment:
        """See `Model.prompt`."""
        return await self._opened.prompt(messages)

    async def observation(self, text: str, *, before: str = "", after: str = "") -> Segment:
        """See `Model.observation`."""
        if self._marks is not None:
            return await self._marks.observation(self._opened, text, before, after)
        return await self._opened.observation(before + text + (after if self.continues else ""))

    async def generate(
        self, window: Window, sampling: Sampling, *, stop: Sequence[str] = (), watch: Watch | None = None
    ) -> Generated:
        """See `Model.generate`. Ending by `watch` closes the connection, which stops the server too.

        Raises:
            ContextOverflowError: the window leaves no room for a reply.
            ModelUnavailableError: the server cannot be reached, keeps failing, or broke off in the middle.
            ModelTimeoutError: it took too long.
            ModelReplyError: what it sent is no reply.
        """
        server = self._opened
        limit = self._room(window.tokens, sampling)
        body = server.request(window, sampling, stop, limit)
        return await self._ask(server, body, server.read, window.tokens, watch)

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        """See `Model.chat`. A server that refuses the schema is asked without it. Raises as `generate`."""
        opened = self._opened
        server = ChatServer(opened.model, opened.context)
        messages = [Message(role=one.role, content=neutralise(one.content)) for one in messages]
        asked = (await opened.prompt(messages)).tokens
        body = server.converse(messages, sampling, self._room(asked, sampling))
        if schema is None:
            return await self._ask(server, body, read_answer, asked)
        held = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
        try:
            return await self._ask(server, body | {"response_format": held}, read_answer, asked)
        except RefusedError as error:
            if error.status not in (400, 422):
                raise
            return await self._ask(server, body, read_answer, asked)

    async def _ask(
        self,
        server: Server,
        body: JsonObject,
        read: Callable[[JsonObject, Reply], None],
        asked: int,
        watch: Watch | None = None,
    ) -> Generated:
        """Send a request whose prompt has `asked` tokens; `read` puts each event into the reply."""
        started = time.perf_counter()
        reply = Reply(watch)

        def on_event(event: JsonObject) -> bool:
            read(event, reply)
            return reply.finish == "watch"

        ended = await self._transport.stream(server.path, body, on_event)
        if not reply.seen:
            raise ModelReplyError(f"{self._transport.where} sent a reply without choices: is it a model server?")
        if reply.finish is None:
            if not ended:
                raise ModelUnavailableError(
                    f"{self._transport.where} broke off in the middle of a reply: look at its log"
                )
            reply.finish = "stop"
        segment = await server.settle(reply)
        usage = reply.usage or Usage(prompt_tokens=asked, completion_tokens=segment.tokens, estimated=True)
        return Generated(segment=segment, finish=reply.finish, usage=usage, seconds=time.perf_counter() - started)

    def _room(self, asked: int, sampling: Sampling) -> int:
        """Tokens that the reply may have."""
        room = self.context - asked
        if room < MINIMUM_REPLY:
            raise ContextOverflowError(
                f"the prompt takes {asked} of {self.context} tokens and leaves no room: fold first"
            )
        return min(sampling.max_tokens, room)

    @property
    def _opened(self) -> Server:
        if self._server is None:
            raise UsageError("the model is not open: use it inside `async with`")
        return self._server
