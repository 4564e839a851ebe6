"""What the loop asks of a model, whatever serves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from deepagent.actions import Frozen
from deepagent.errors import ContextOverflowError
from deepagent.grammar import Grammar
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, Message, Segment, Window

Watch = Callable[[str], bool]
"""Called with each new piece of text as it arrives; True ends the generation there."""

Listen = Callable[[], Watch]
"""Makes a `Watch` for one attempt: a reply that broke off is asked for again, and heard from its beginning."""


class Sampling(BaseModel):
    """How tokens are drawn. Every value is sent explicitly, since servers differ in their defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    """0: no cut."""
    max_tokens: int = Field(1024, ge=1)
    """Longest reply of one step; cut further to what the window has left."""
    seed: int | None = None
    logprobs: bool = False
    """Ask for the log-probability of every generated token (training needs them)."""

    def seed_behind(self, tokens: int) -> int | None:
        """The seed of a reply behind so many tokens: the steps of a run share `seed`, but must not draw alike."""
        return None if self.seed is None else (self.seed * 1_000_003 + tokens) % (1 << 63)


class Usage(Frozen):
    """Tokens of one request, or of many added up.

    Attributes:
        prompt_tokens: tokens sent.
        cached_tokens: how many of them the server had already computed (prefix cache).
        completion_tokens: tokens generated.
        estimated: True when any part was not reported by the server.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            estimated=self.estimated or other.estimated,
        )

    @property
    def computed(self) -> int:
        """Tokens that cost work: what was neither cached nor skipped."""
        return self.prompt_tokens - self.cached_tokens + self.completion_tokens


class Generated(Frozen):
    """One reply.

    Attributes:
        segment: what was written; the stop string that ended it is part of the text, whatever the server returns.
            Where it ends inside a token, the rest of that token follows: text and ids always say the same.
        finish: `stop` (a stop string or the model's own end), `length` (cut by max_tokens), `watch` (cut by us).
        usage: tokens of this request.
        seconds: wall-clock time of the request.
    """

    segment: Segment
    finish: Literal["stop", "length", "watch"]
    usage: Usage
    seconds: float


MINIMUM_REPLY = 16
"""Tokens; with less room than that no reply is worth asking for."""


def room_for_reply(context: int, asked: int, sampling: Sampling) -> int:
    """Tokens that the reply to a prompt of `asked` tokens may have in a window of `context` tokens.

    Raises:
        ContextOverflowError: there is no room for a reply.
    """
    room = context - asked
    if room < MINIMUM_REPLY:
        raise ContextOverflowError(f"the prompt takes {asked} of {context} tokens and leaves no room: fold first")
    return min(sampling.max_tokens, room)


class Model(Protocol):
    """A model behind some server or engine; an async context manager that owns its connection.

    All methods raise only `deepagent.errors.ModelError` and its children for what the server does wrong.
    """

    @property
    def name(self) -> str:
        """The model as named in logs and reports."""
        ...

    @property
    def context(self) -> int:
        """Tokens that prompt and reply may have together. Known once the model is entered."""
        ...

    @property
    def continues(self) -> bool:
        """Whether the model goes on from text that is put into its mouth (`after` of `observation`)."""
        ...

    @property
    def functions(self) -> bool:
        """Whether actions can be calls of functions that the server is told of. Known once the model is entered."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """Apply the chat template, leaving the assistant's turn open: the first segment of a window."""
        ...

    async def lead(self, text: str) -> Segment | None:
        """The beginning of the model's first reply, put into its mouth; None where it begins as it likes.

        A small instruct model, which takes turns, is led into acting by it; a reasoning model thinks first.
        """
        ...

    async def observation(self, text: str, *, before: str = "", after: str = "", answers: str | None = None) -> Segment:
        """Turn what the model is shown into a segment. Control tokens inside it stay plain text: it may be hostile.

        Args:
            text: what is shown; a turn of its own where the model takes turns.
            before: what the model's own text still lacks, such as a closing tag.
            after: the beginning of what the model says next; left out where the model does not go on from it.
            answers: id of the function call whose result this is.
        """
        ...

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
        """Continue the window's stream until a stop string, the model's own end, a limit, or its listener's word.

        Args:
            window: what was said so far.
            sampling: how tokens are drawn.
            stop: strings that end the reply and are part of it.
            listen: makes the listener that is told each piece of text and may end the reply.
            grammar: what the inside of actions is held to, where the server can.
            calls: whether the window's functions may be called.

        Raises:
            ContextOverflowError: the window leaves no room for a reply.
        """
        ...

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        """Answer a separate conversation, held to a JSON Schema where the server can.

        Control tokens inside the messages stay plain text: they may quote what a tool said.
        """
        ...
