"""A model that says what it was told to say: for tests, documentation and dry runs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self, TypeVar

from deepagent.errors import ModelReplyError
from deepagent.grammar import Grammar
from deepagent.models.base import Generated, Listen, Sampling, Usage, Watch, room_for_reply
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, Message, Segment, Window

Script = Sequence[str | Message] | Callable[[Window], str | Message]
ChatScript = Sequence[str] | Callable[[Sequence[Message], JsonSchema | None], str]

T = TypeVar("T")

PIECE = 4
VOCABULARY = 32_000


class ScriptedModel:
    """A deterministic `Model`: the n-th reply is the n-th text of the script.

    It behaves like a server that speaks tokens (4 characters each), caches the longest common prefix of
    consecutive requests, and honours stop strings, `watch` and every limit.

    Args:
        replies: what `generate` writes, in order, or a function of the window: texts, or messages that call functions.
        context: window size in tokens.
        chat_replies: what `chat` answers: texts in order, or a function of the messages and the schema.
        functions: whether it takes functions; only then a reply may be a message.
        name: as named in logs.

    Attributes:
        prompts: text of the window at each `generate`, in order.
        conversations: messages of each `chat`, in order.
    """

    def __init__(
        self,
        replies: Script = (),
        *,
        context: int = 4096,
        chat_replies: ChatScript = (),
        functions: bool = False,
        name: str = "scripted",
    ) -> None:
        self._name = name
        self._replies = replies
        self._chat_replies = chat_replies
        self._context = context
        self._functions = functions
        self._cached: list[int] = []
        self.prompts: list[str] = []
        self.conversations: list[tuple[Message, ...]] = []

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    @property
    def context(self) -> int:
        """Window size in tokens."""
        return self._context

    @property
    def continues(self) -> bool:
        """A script of texts goes on from anything."""
        return not self._functions

    @property
    def functions(self) -> bool:
        """As it was made."""
        return self._functions

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """Render the messages with a plain template."""
        tools = "".join(f"<|tool|>\n{function.model_dump_json()}\n" for function in functions)
        text = "".join(f"<|{message.role}|>\n{message.content}\n" for message in messages)
        text = f"{tools}{text}<|assistant|>\n"
        return Segment(kind="prompt", text=text, token_ids=token_ids(text))

    async def lead(self, text: str) -> Segment | None:
        """The script is said as it is."""
        return None

    async def observation(self, text: str, *, before: str = "", after: str = "", answers: str | None = None) -> Segment:
        """Turn appended text into a segment."""
        whole = before + text + after
        message = Message(role="tool", content=whole, answers=answers) if answers is not None else None
        return Segment(kind="observation", text=whole, token_ids=token_ids(whole), message=message)

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
        """Give the script's next reply.

        Raises:
            ContextOverflowError: the window leaves no room for a reply.
            ModelReplyError: the script is at its end.
        """
        limit = room_for_reply(self._context, window.tokens, sampling)
        self.prompts.append(window.text)
        script = self._replies
        reply = script(window) if callable(script) else _next(script, len(self.prompts), "replies")
        sent = window.token_ids or []
        cached = _common_prefix(self._cached, sent)
        self._cached = sent
        message = reply if isinstance(reply, Message) else Message(role="assistant", content=reply)
        watch = listen() if listen is not None else None
        generated = _write(message.text, sampling, limit, stop, watch)
        if self._functions:
            segment = generated.segment.model_copy(update={"message": message})
            generated = generated.model_copy(update={"segment": segment})
        usage = generated.usage.model_copy(update={"prompt_tokens": window.tokens, "cached_tokens": cached})
        return generated.model_copy(update={"usage": usage})

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        """Give the chat script's next answer. The schema is not enforced, so that tests can break it.

        Raises:
            ModelReplyError: the script is at its end.
        """
        self.conversations.append(tuple(messages))
        script = self._chat_replies
        reply = script(messages, schema) if callable(script) else _next(script, len(self.conversations), "chat_replies")
        generated = _write(reply, sampling, sampling.max_tokens, (), None)
        asked = await self.prompt(messages)
        return generated.model_copy(
            update={"usage": generated.usage.model_copy(update={"prompt_tokens": asked.tokens})}
        )


def token_ids(text: str) -> tuple[int, ...]:
    """Invented but stable token ids of a text, one for every four characters begun."""
    return tuple(zlib.crc32(piece.encode()) % VOCABULARY for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def _next(script: Sequence[T], number: int, name: str) -> T:
    if number > len(script):
        raise ModelReplyError(f"the script is at its end: reply {number} was asked for, {name} has {len(script)}")
    return script[number - 1]


def _write(reply: str, sampling: Sampling, limit: int, stop: Sequence[str], watch: Watch | None) -> Generated:
    """Write a reply as a server would: piece by piece, until something ends it."""
    ends = [reply.find(word) + len(word) for word in stop if word and word in reply]
    pieces = _pieces(reply[: min(ends, default=len(reply))])
    finish: Literal["stop", "length", "watch"] = "length" if len(pieces) > limit else "stop"
    written: list[str] = []
    for piece in pieces[:limit]:
        written.append(piece)
        if watch is not None and watch(piece) and len(written) < len(pieces):
            finish = "watch"
            break
    text = "".join(written)
    ids = token_ids(text)
    logprobs = tuple(-(1 + token % 9) / 10 for token in ids) if sampling.logprobs else None
    segment = Segment(kind="generated", text=text, token_ids=ids, logprobs=logprobs)
    return Generated(segment=segment, finish=finish, usage=Usage(completion_tokens=len(ids)), seconds=0.0)


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length
