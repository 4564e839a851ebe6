"""What differs between servers, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from deepagent.models.base import Sampling
from deepagent.models.reply import Reply
from deepagent.models.transport import JsonObject
from deepagent.transcript import Message, Segment, Window

CONTROL = re.compile(
    r"<[|｜][^<>\s]{1,64}[|｜]>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_(?:turn|image)>|\[/?INST\]"
)
"""Text that tokenizers of chat models may read as control tokens."""
_STARTS = re.compile(f"(?={CONTROL.pattern})")
"""Where one begins, also inside another."""


class Server(Protocol):
    """One kind of server: how to ask it, and how to read what it answers.

    Attributes:
        model: name of the model as the server knows it.
        context: its window in tokens.
        path: where replies are generated.
    """

    model: str
    context: int
    path: str

    async def prompt(self, messages: Sequence[Message]) -> Segment:
        """See `Model.prompt`."""
        ...

    async def observation(self, text: str) -> Segment:
        """See `Model.observation`."""
        ...

    async def marks(self, text: str) -> Segment:
        """Text of the template itself as a segment: its control tokens are meant."""
        ...

    def request(self, window: Window, sampling: Sampling, stop: Sequence[str], limit: int) -> JsonObject:
        """The body that asks for the window's continuation in at most `limit` tokens."""
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
    cuts = [0, *(match.start() + 1 for match in _STARTS.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts) if start < end]
