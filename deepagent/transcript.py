"""The append-only stream: a transcript is windows, a window is segments.

Within a window the prompt of step n+1 extends the prompt of step n byte for byte, and token for token where
the server speaks tokens. That is what makes prefix caching work and training exact; only a fold opens a new window.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from deepagent.actions import Frozen

BYTES_PER_TOKEN = 3
"""Low on purpose (English runs near 4): an estimate that errs towards folding early."""


_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NAME_CHARS = 64
"""What chat APIs take as the name of a function."""


def clipped(text: str, limit: int) -> str:
    """The beginning of a text, at most `limit` bytes of it in UTF-8."""
    if len(text) * 4 <= limit:
        return text
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[:limit].decode("utf-8", "ignore")


class Function(Frozen):
    """A tool as a server that takes functions is told of it; `parameters` is the JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


def function_name(name: str) -> str:
    """A name as chat APIs take it: what is offered, called and sent back must be spelled alike."""
    return _NO_NAME.sub("_", name)[:_NAME_CHARS]


class FunctionCall(Frozen):
    """A function call as the model wrote it.

    Attributes:
        id: pairs the call with the message that answers it.
        arguments: JSON text, or what the model wrote instead.
    """

    id: str
    name: str
    arguments: str


class Message(Frozen):
    """One chat message, before the model's template is applied.

    Attributes:
        reasoning: what the model thought before the content, where its server keeps the two apart.
        calls: functions that the model calls.
        answers: id of the call whose result this is; the role is `tool` then.
        images: `data:` URLs, for models that see.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    reasoning: str = ""
    calls: tuple[FunctionCall, ...] = ()
    answers: str | None = None
    images: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Reasoning, content and calls as one text, for the log and for people."""
        calls = [f'<tool_call>{{"name": "{one.name}", "arguments": {one.arguments}}}</tool_call>' for one in self.calls]
        return "\n".join([*(part for part in (self.reasoning, self.content) if part), *calls])


class Segment(Frozen):
    """A piece of a window, with the token ids as the server made them (never re-tokenised).

    Attributes:
        kind: `prompt` opens a window, `generated` was written by the model (and carries the training loss),
            `observation` was appended by the agent (masked out of any loss).
        text: the piece as text.
        token_ids: its tokens, or None where the server does not speak tokens.
        logprobs: one natural-log probability per token of a generated segment, where the server reported them.
        message: the piece as a chat message of its own, where functions are called.
    """

    kind: Literal["prompt", "generated", "observation"]
    text: str
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float | None, ...] | None = None
    message: Message | None = None

    @property
    def tokens(self) -> int:
        """Number of tokens: exact where ids are known, else an estimate that is rather too high."""
        if self.token_ids is not None:
            return len(self.token_ids)
        return -(-len(self.text.encode()) // BYTES_PER_TOKEN)


class Window:
    """What the model sees at one time. Segments can be appended, never changed.

    Args:
        messages: the opening chat messages, kept for servers that take messages only.
        segments: the same messages rendered by the model's template, and whatever else the window opens with.
        functions: what the model may call as functions, where its server takes them.
    """

    def __init__(
        self, messages: Sequence[Message], segments: Sequence[Segment], functions: Sequence[Function] = ()
    ) -> None:
        self.messages = tuple(messages)
        self.functions = tuple(functions)
        self._segments = list(segments)
        self._tokens = sum(segment.tokens for segment in self._segments)

    def extended(self, segments: Iterable[Segment]) -> Window:
        """This window with more at its end, as a window of its own."""
        longer = Window(self.messages, (), self.functions)
        longer._segments, longer._tokens = list(self._segments), self._tokens
        for segment in segments:
            longer.append(segment)
        return longer

    def append(self, segment: Segment) -> None:
        """Extend the stream."""
        self._segments.append(segment)
        self._tokens += segment.tokens

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments in order; the first is the prompt."""
        return tuple(self._segments)

    @property
    def text(self) -> str:
        """The whole stream as text."""
        return "".join(segment.text for segment in self._segments)

    @property
    def token_ids(self) -> list[int] | None:
        """The whole stream as token ids, or None when any segment has none."""
        ids: list[int] = []
        for segment in self._segments:
            if segment.token_ids is None:
                return None
            ids.extend(segment.token_ids)
        return ids

    @property
    def tokens(self) -> int:
        """Size of the stream in tokens (see `Segment.tokens`)."""
        return self._tokens


class Transcript:
    """The windows of a run: the first, whose opening all others share, and the one that is open now.

    Those between are in the log; a long run must not take more memory than a short one.

    Args:
        first: the first window, where it is known already.
        opened: how many windows there have been.
    """

    def __init__(self, first: Iterable[Window] = (), *, opened: int = 0) -> None:
        self.opened = opened
        self._ends: tuple[Window, ...] = tuple(first)

    def open(self, window: Window) -> None:
        """Go on in a new window."""
        self.opened += 1
        self._ends = (*self._ends[:1], window)

    @property
    def first(self) -> Window:
        """The first window."""
        return self._ends[0]

    @property
    def window(self) -> Window:
        """The window that is open now."""
        return self._ends[-1]
