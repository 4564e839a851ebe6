"""What a file is read into, and the limits of reading."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_CHARS = 2_000_000
MOST_SECONDS = 20.0
"""After this a reader stops and gives what it has; the sandbox ends one that does not, some time later."""


class UnreadableError(Exception):
    """The file cannot be read; says why, in words for the model."""


@dataclass
class Part:
    """A page, a sheet, a slide, or the whole."""

    name: str
    text: str


@dataclass
class Document:
    """A file as text.

    Attributes:
        about: what it is, in one line.
        parts: its text.
        notes: what was left out, one line each.
        links: of a page, text and address.
    """

    about: str
    parts: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The document as plain values."""
        return asdict(self)


class Limit:
    """Counts what has been read."""

    def __init__(self) -> None:
        self._chars = MOST_CHARS
        self._until = time.monotonic() + MOST_SECONDS
        self.reached = ""

    def take(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines, as long as there is room and time."""
        for line in lines:
            if self._chars <= 0 or time.monotonic() > self._until:
                self.reached = "not all of it was read: it is too long" if self._chars <= 0 else "reading took too long"
                return
            yield line[: self._chars]
            self._chars -= len(line) + 1


def chosen(names: list[str], part: str) -> list[str]:
    """The names that are meant: the exact one, or those that end with the same word or number; where there is one, it.

    Raises:
        UnreadableError: none is.
    """
    wanted = part.strip().lower()
    found = [name for name in names if name.lower() == wanted] or [
        name for name in names if name.lower().split()[-1:] == [wanted]
    ]
    if found or len(names) == 1:
        return found or names
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    raise UnreadableError(f"there is no part {part!r}; there is {shown or 'none at all'}")
