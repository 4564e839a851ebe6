"""One reply while it arrives: text, token ids, function calls, how it ended and what it cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from deepagent.errors import ModelReplyError
from deepagent.models.base import Usage, Watch
from deepagent.transcript import FunctionCall

MAX_TEXT = 4 << 20
"""Characters of one reply; no step is that long."""
_NO_ID = re.compile(r"[^A-Za-z0-9_.:-]")
MAX_CALLS = 64
"""Function calls of one reply."""


@dataclass
class Reply:
    """Collects what the events of one request say.

    Attributes:
        read: puts one event into the reply; differs from server to server.
        watch: told each piece of text; may end the reply.
        finish: how it ended, or None while it has not.
        eos: whether the model itself ended it, so that its last token is a control token.
        counted: tokens generated, as the server counts them.
        seen: whether any event held a part of a reply at all.
    """

    read: Callable[[dict[str, Any], Reply], None]
    watch: Watch | None = None
    finish: Literal["stop", "length", "watch"] | None = None
    eos: bool = False
    counted: int | None = None
    seen: bool = False
    ids: list[int] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)
    _said: list[str] = field(default_factory=list)
    _calls: list[dict[str, str]] = field(default_factory=list)
    _places: dict[int | None, dict[str, str]] = field(default_factory=dict)
    _asked: int | None = None
    _cached: int | None = None
    _half: str = ""
    _size: int = 0

    def hear(self, event: dict[str, Any]) -> bool:
        """Take one event; True ends the stream."""
        self.read(event, self)
        return self.finish == "watch"

    @property
    def complete(self) -> bool:
        """Whether the server has said how the reply ends."""
        return self.finish is not None

    @property
    def usage(self) -> Usage | None:
        """What the server reported last."""
        if self._asked is None or self.counted is None:
            return None
        # Some servers tell what came from the cache at the end only: of a reply that we ended it is not known.
        unknown = self._cached is None and self.finish == "watch"
        cached = min(self._cached or 0, self._asked)
        return Usage(prompt_tokens=self._asked, cached_tokens=cached, completion_tokens=self.counted, estimated=unknown)

    @property
    def text(self) -> str:
        """All text so far, without the first half of a character whose second half has not come."""
        return "".join(self._pieces)

    @property
    def reasoning(self) -> str:
        """The part of the text that came as reasoning."""
        return "".join(self._thoughts)

    @property
    def content(self) -> str:
        """The part of the text that did not come as reasoning."""
        return "".join(self._said)

    @property
    def calls(self) -> tuple[FunctionCall, ...]:
        """The function calls so far, in the server's order, each with an id that no other has."""
        found: list[FunctionCall] = []
        used: set[str] = set()
        for number, part in enumerate(self._calls):
            id = part["id"]
            if id and part in self._calls[:number]:  # said twice, which must not be done twice
                continue
            while not id or id in used:  # some servers repeat ids, some send none; nine letters suit all of them
                id = f"call{number:05d}" if not id else f"{id[:60]}x"
            used.add(id)
            found.append(FunctionCall(id=id, name=part["name"], arguments=part["arguments"]))
        return tuple(found)

    def end(self, reason: object) -> None:
        """Note the server's `finish_reason`; the first one counts."""
        if isinstance(reason, str) and self.finish is None:
            self.finish = "length" if reason in ("length", "max_tokens") else "stop"

    def write(self, text: object, *, reasoning: bool = False) -> None:
        """Take a piece of text and show it to `watch`.

        Servers that write JSON in ASCII may cut a character between its two surrogates; the first half is held back
        until the second comes. Halves that stay alone can be neither logged nor sent, and are replaced.

        Raises:
            ModelReplyError: the reply is longer than any step, or the piece is no text.
        """
        if text is None or text == "":
            return
        text = self._counted(text)
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text.removesuffix(self._half).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if not text:
            return
        self._pieces.append(text)
        (self._thoughts if reasoning else self._said).append(text)
        if self.watch is not None and self.watch(text) and self.finish is None:
            self.finish = "watch"

    def add_call(self, index: object, id: object, name: object, arguments: object) -> None:
        """Take a piece of a function call: names and arguments arrive in parts, ids once.

        Where a server leaves the index out, or repeats it, a new id begins a new call, or a new name without any.

        Raises:
            ModelReplyError: there are more calls than any step has, or the parts are no text.
        """
        id = _NO_ID.sub("", self._piece(id))[:64] if isinstance(id, str) else ""
        name, more = self._piece(name), self._piece(arguments)
        part = self._places.get(index if isinstance(index, int) else None)
        new_id = bool(part and id and part["id"] and id != part["id"])
        new_name = bool(part and not isinstance(index, int) and not id and name and part["name"])
        if part is None or new_id or new_name:
            if len(self._calls) >= MAX_CALLS:
                raise ModelReplyError(f"the reply calls more than {MAX_CALLS} functions at once")
            part = {"id": "", "name": "", "arguments": ""}
            self._calls.append(part)
        self._places[index if isinstance(index, int) else None] = part
        part["id"] = part["id"] or id
        part["name"] = part["name"] or name
        part["arguments"] += more

    def _piece(self, text: object) -> str:
        """Text that can be encoded; none is empty."""
        whole = "" if text is None else self._counted(text)
        return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _counted(self, text: object) -> str:
        if not isinstance(text, str):
            raise ModelReplyError(f"the server sent {type(text).__name__} where text was expected")
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise ModelReplyError(f"the reply is longer than {MAX_TEXT >> 20} Mi characters: lower max_tokens")
        return text

    def add_tokens(self, ids: object, logprobs: Iterable[object] = ()) -> None:
        """Take token ids with as many log-probabilities, or none.

        Raises:
            ModelReplyError: they are not numbers.
        """
        if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
            raise ModelReplyError("the server sent token ids that are no numbers")
        self.ids.extend(ids)
        self.logprobs.extend(one if isinstance(one, float) else None for one in logprobs)

    def report(self, usage: object) -> None:
        """Take a usage object in the form of the OpenAI API; anything else is ignored."""
        if not isinstance(usage, dict):
            return
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        self.count(usage.get("prompt_tokens"), cached, usage.get("completion_tokens"))

    def count(self, prompt: object, cached: object, completion: object) -> None:
        """Take the server's counts so far; what is no count is ignored."""
        asked, made = _count(prompt), _count(completion)
        if asked is None or made is None:
            return
        if _count(cached) is not None:
            self._cached = _count(cached)
        self._asked, self.counted = asked, made


def first_choice(event: dict[str, Any]) -> dict[str, Any]:
    """The first choice of an event, or an empty one (usage events have none)."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else {}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
