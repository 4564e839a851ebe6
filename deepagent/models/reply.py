"""One reply while it arrives: text, token ids, how it ended and what it cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from deepagent.errors import ModelReplyError
from deepagent.models.base import Usage, Watch

MAX_TEXT = 4 << 20
"""Characters of one reply; no step is that long."""


@dataclass
class Reply:
    """Collects what the events of one request say.

    Attributes:
        watch: told each piece of text; may end the reply.
        finish: how it ended, or None while it has not.
        eos: whether the model itself ended it, so that its last token is a control token.
        usage: what the server reported last.
        counted: tokens generated, as the server counts them.
        seen: whether any event held a part of a reply at all.
    """

    watch: Watch | None = None
    finish: Literal["stop", "length", "watch"] | None = None
    eos: bool = False
    usage: Usage | None = None
    counted: int | None = None
    seen: bool = False
    ids: list[int] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _half: str = ""
    _size: int = 0

    @property
    def text(self) -> str:
        """All text so far, without the first half of a character whose second half has not come."""
        return "".join(self._pieces)

    def end(self, reason: object) -> None:
        """Note the server's `finish_reason`; the first one counts."""
        if isinstance(reason, str) and self.finish is None:
            self.finish = "length" if reason in ("length", "max_tokens") else "stop"

    def write(self, text: object) -> None:
        """Take a piece of text and show it to `watch`.

        Servers that write JSON in ASCII may cut a character between its two surrogates; the first half is held back
        until the second comes. Halves that stay alone can be neither logged nor sent, and are replaced.

        Raises:
            ModelReplyError: the reply is longer than any step, or the piece is no text.
        """
        if text is None or text == "":
            return
        if not isinstance(text, str):
            raise ModelReplyError(f"the server sent {type(text).__name__} where text was expected")
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise ModelReplyError(f"the reply is longer than {MAX_TEXT >> 20} Mi characters: lower max_tokens")
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text.removesuffix(self._half).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if not text:
            return
        self._pieces.append(text)
        if self.watch is not None and self.watch(text) and self.finish is None:
            self.finish = "watch"

    def add_tokens(self, ids: object, logprobs: Iterable[object] = ()) -> None:
        """Take token ids with as many log-probabilities, or none.

        Raises:
            ModelReplyError: they are not numbers.
        """
        if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
            raise ModelReplyError("the server sent token ids that are no numbers")
        self.ids.extend(ids)
        self.logprobs.extend(float(one) if isinstance(one, (int, float)) else None for one in logprobs)

    def report(self, usage: object) -> None:
        """Take a usage object in the form of the OpenAI API; anything else is ignored."""
        if not isinstance(usage, dict):
            return
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        if prompt is None or completion is None:
            return
        self.usage = Usage(
            prompt_tokens=prompt, cached_tokens=min(_count(cached) or 0, prompt), completion_tokens=completion
        )
        self.counted = completion


def first_choice(event: dict[str, Any]) -> dict[str, Any]:
    """The first choice of an event, or an empty one (usage events have none)."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
