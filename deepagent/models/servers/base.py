"""What differs between servers, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from deepagent.control import neutralise
from deepagent.errors import ModelError
from deepagent.grammar import Grammar
from deepagent.models.base import Sampling
from deepagent.models.reply import Reply
from deepagent.models.transport import JsonObject
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, Message, Segment, Window

MOST_STOPS = 4
"""What most servers take; the caller's listener sees the others."""
_WHOLE_TAG = re.compile(r"\s*(?:<\S+>|\[\S+\])\s*")


@dataclass(frozen=True)
class Terms:
    """What is asked of one reply.

    Attributes:
        sampling: how tokens are drawn.
        limit: tokens that it may have.
        stop: strings that end it.
        grammar: what it is held to inside actions, where the server can.
        calls: whether it may call functions.
    """

    sampling: Sampling
    limit: int
    stop: tuple[str, ...] = ()
    grammar: Grammar | None = None
    calls: bool = True


class Tokenizing(Protocol):
    """What makes segments of text."""

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """See `Model.prompt`."""
        ...

    async def observation(self, text: str) -> Segment:
        """See `Model.observation`."""
        ...

    async def marks(self, text: str) -> Segment:
        """Text of the template itself as a segment: its control tokens are meant."""
        ...


class Server(Tokenizing, Protocol):
    """One kind of server: how to ask it, and how to read what it answers.

    Attributes:
        kind: what it is, for people.
        model: name of the model as the server knows it.
        context: its window in tokens.
        path: where replies are generated.
    """

    kind: str
    model: str
    context: int
    path: str

    @property
    def neutral(self) -> JsonObject:
        """Fields of a chat body that switch off what the server would else add to the sampling."""
        ...

    @property
    def abort_path(self) -> str | None:
        """Where a request is ended by its id, beside closing the connection; None where nowhere."""
        ...

    def request(self, window: Window, terms: Terms, id: str) -> JsonObject:
        """The body that asks for the window's continuation; `id` names the request."""
        ...

    def held(self, schema: JsonSchema) -> JsonObject:
        """The part of a chat body that holds the answer to a schema."""
        ...

    def abort(self, id: str) -> JsonObject:
        """The body that ends the request of this name at `abort_path`."""
        ...

    def adapt(self, error: ModelError, body: JsonObject) -> bool:
        """Learn from a request that failed. True: the next body leaves out what it failed for."""
        ...

    def read(self, event: JsonObject, reply: Reply) -> None:
        """Put what one event says into the reply."""
        ...

    async def settle(self, reply: Reply) -> Segment:
        """Make the segment of a reply that has ended."""
        ...


def token_prompt(window: Window) -> list[int] | str:
    """The window as token ids; as text where a segment came from a server without them."""
    ids = window.token_ids
    if ids is not None:
        return ids
    return "".join(neutralise(one.text) if one.kind == "observation" else one.text for one in window.segments)


async def settle_tokens(reply: Reply, detokenize: Callable[[Sequence[int]], Awaitable[str]]) -> Segment:
    """The segment of a reply whose server reports token ids: text and ids say the same, and the ids are the truth.

    The last token may reach beyond the stop string. The end token is or is not among the ids, depending on the
    server's version; it is no part of the stream.
    """
    ids, text = tuple(reply.ids), reply.text
    if not ids:
        return Segment(kind="generated", text=text)
    logprobs = tuple(reply.logprobs) if len(reply.logprobs) == len(ids) else None
    read_back = text if reply.finish == "length" else await detokenize(ids)
    ended = False
    if reply.eos and read_back == text:  # the end token is not there, or was not known for one in the text
        last = await detokenize(ids[-1:])
        ended = _WHOLE_TAG.fullmatch(last) is not None and text.endswith(last)
        read_back = text.removesuffix(last) if ended else text
        text = read_back
    elif reply.eos and read_back.startswith(text):
        ended, read_back = True, text
    if ended:
        ids, logprobs = ids[:-1], logprobs[:-1] if logprobs else None
    text = read_back if read_back.startswith(text) else text
    return Segment(kind="generated", text=text, token_ids=ids, logprobs=logprobs)


def response_format(schema: JsonSchema) -> JsonObject:
    """The part of a chat body that holds the answer to a schema, as most servers know it."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}}


def function_list(functions: Sequence[Function]) -> list[JsonObject]:
    """Functions as the OpenAI API and chat templates know them; what tools say of themselves stays text there."""
    return [{"type": "function", "function": _neutral(function.model_dump())} for function in functions]


def _neutral(value: Any) -> Any:
    if isinstance(value, str):
        return neutralise(value)
    if isinstance(value, dict):
        return {neutralise(key): _neutral(inner) for key, inner in value.items()}
    return [_neutral(inner) for inner in value] if isinstance(value, (list, tuple)) else value
