"""What differs between servers, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from deepagent.errors import ModelError
from deepagent.grammar import Grammar
from deepagent.models.base import Sampling
from deepagent.models.reply import Reply
from deepagent.models.transport import JsonObject
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, Message, Segment, Window

CONTROL = re.compile(
    r"<[|｜][^<>\s]{1,64}[|｜]>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_(?:turn|image)>|\[/?INST\]"
)
"""Text that tokenizers of chat models may read as control tokens."""
_STARTS = re.compile(f"(?={CONTROL.pattern})")
"""Where one begins, also inside another."""
_LAST = re.compile(f"(?:{CONTROL.pattern})$")


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


def neutralise(text: str) -> str:
    """Break up what may be read as a control token, with a character that is not seen."""
    return "\u200b".join(split_control(text))


def split_control(text: str) -> list[str]:
    """Cut a text inside everything that may be read as a control token, so that no piece holds a whole one."""
    if "<" not in text and "[" not in text:  # as all control tokens begin
        return [text] if text else []
    cuts = [0, *(match.start() + 1 for match in _STARTS.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts) if start < end]


def without_end_token(text: object) -> object:
    """A reply's last piece without the end token that servers show when they are asked for control tokens."""
    return _LAST.sub("", text) if isinstance(text, str) else text


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
    if reply.eos and read_back != text and read_back.startswith(text):
        ids, logprobs, read_back = ids[:-1], logprobs[:-1] if logprobs else None, text
    text = read_back if read_back.startswith(text) else text
    return Segment(kind="generated", text=text, token_ids=ids, logprobs=logprobs)


def response_format(schema: JsonSchema) -> JsonObject:
    """The part of a chat body that holds the answer to a schema, as most servers know it."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}}


def function_list(functions: Sequence[Function]) -> list[JsonObject]:
    """Functions as the OpenAI API and chat templates know them."""
    return [{"type": "function", "function": function.model_dump()} for function in functions]
