"""What the server behind a model can do, found by trying it: a few requests with replies of some tokens."""

from __future__ import annotations

import json
import re
from typing import Literal

from deepagent.actions import Frozen
from deepagent.errors import ModelError
from deepagent.grammar import Grammar, HeldTag
from deepagent.models.base import Sampling
from deepagent.models.http import NOTHING, HttpModel
from deepagent.models.servers import ChatServer
from deepagent.models.servers.base import function_list
from deepagent.models.servers.tokens import TokenServer
from deepagent.models.transport import Transport
from deepagent.transcript import Message, Window

_MARK = "QUOKKA"
_LONG = "The quick brown fox jumps over the lazy dog. " * 40
_YES = {"type": "object", "properties": {"ok": {"enum": ["yes"]}}, "required": ["ok"], "additionalProperties": False}
_RATES = (
    (r"^vllm:prefix_cache_hits(?:_total)?{[^}]*} (\S+)$", r"^vllm:prefix_cache_queries(?:_total)?{[^}]*} (\S+)$"),
    (r"^sglang:cache_hit_rate{[^}]*} (\S+)$", None),
)
"""Where servers tell their hit rate: as hits and queries, or as the rate itself."""


class Capabilities(Frozen):
    """What a server can do. None: it cannot be told.

    Attributes:
        server: what kind it is.
        context: window in tokens.
        stream: whether it takes and reports token ids, so that a run is one continuing stream.
        functions: whether it takes functions with messages and calls them.
        schemas: whether it holds answers to a JSON Schema, which folding relies on.
        grammar: whether it holds the inside of actions to a grammar.
        logprobs: whether it reports the probability of every token, which training needs.
        cache: whether it reports how much of a prompt came from its cache.
        hit_rate: share of all prompt tokens, of all clients, that its prefix cache had.
        abort: how a request is ended: by its id, or only by closing the connection.
        reasoning: whether earlier reasoning is part of later prompts.
        refused: fields of the API that it does not take.
    """

    server: str
    model: str
    context: int
    stream: bool
    functions: bool
    schemas: bool
    grammar: bool
    logprobs: bool
    cache: bool
    hit_rate: float | None
    abort: Literal["by id", "by closing"]
    reasoning: bool | None
    refused: tuple[str, ...] = ()


async def examine(model: HttpModel) -> Capabilities:
    """Try out what the server behind an open model can do.

    Raises:
        ModelError: it cannot even reply.
    """
    server = model.server
    messages = (Message(role="user", content=f"{_LONG}\nSay hello."),)
    window = Window(messages, [await model.prompt(messages)])
    few = Sampling(max_tokens=4)
    first = await model.generate(window, few.model_copy(update={"logprobs": True}))
    again = await model.generate(window, few)
    return Capabilities(
        server=server.kind,
        model=server.model,
        context=server.context,
        stream=model.continues,
        functions=model.functions if isinstance(server, ChatServer) else await model.takes_functions(),
        schemas=await _holds_schemas(model),
        grammar=isinstance(server, TokenServer) and await _holds_grammars(model, server, window),
        logprobs=first.segment.logprobs is not None,
        cache=again.usage.cached_tokens > 0,
        hit_rate=await _hit_rate(model.transport),
        abort="by id" if server.abort_path else "by closing",
        reasoning=await _keeps_reasoning(model.transport, server) if isinstance(server, TokenServer) else None,
        refused=tuple(sorted(server.left_out)) if isinstance(server, ChatServer) else (),
    )


async def _holds_schemas(model: HttpModel) -> bool:
    """A question whose only held answer nobody would give freely."""
    asked = [Message(role="user", content="What is the capital of France?")]
    try:
        reply = await model.chat(asked, Sampling(max_tokens=24), schema=_YES)
        return bool(json.loads(reply.segment.text) == {"ok": "yes"})
    except (ModelError, ValueError):
        return False


async def _holds_grammars(model: HttpModel, server: TokenServer, window: Window) -> bool:
    grammar = Grammar(tags=(HeldTag(begin="<try>", schema_=_YES, end="</try>"),))
    await model.generate(window, Sampling(max_tokens=1), grammar=grammar)
    return grammar.structural_tag not in server.refused


async def _keeps_reasoning(transport: Transport, server: TokenServer) -> bool:
    """Templates may strip earlier thoughts; then a conversation is no stream, and nothing in it is cached for long."""
    call = {"id": "call00000", "type": "function", "function": {"name": "nothing", "arguments": "{}"}}
    said = {"role": "assistant", "content": "", "reasoning": _MARK, "reasoning_content": _MARK, "tool_calls": [call]}
    shown = {"role": "tool", "tool_call_id": "call00000", "content": "nothing"}
    body = {"model": server.model, "messages": [{"role": "user", "content": "hello"}, said, shown]}
    answer = await transport.probe("tokenize", body | {"tools": function_list([NOTHING])})
    ids = (answer or {}).get("tokens")
    return isinstance(ids, list) and _MARK in await server.detokenize(ids)


async def _hit_rate(transport: Transport) -> float | None:
    try:
        text = await transport.read("GET", "metrics")
    except ModelError:
        return None
    for hits, queries in _RATES:
        found = _sum(hits, text)
        if found is None:
            continue
        if queries is None:
            return found
        asked = _sum(queries, text)
        return found / asked if asked else None
    return None


def _sum(pattern: str, metrics: str) -> float | None:
    values = re.findall(pattern, metrics, re.MULTILINE)
    try:
        return sum(map(float, values)) if values else None
    except ValueError:
        return None
