"""Keeps the two ends of a stream of any length in bounded memory."""

from __future__ import annotations

_BYTES_PER_CHAR = 4  # the most that UTF-8 needs


class Capture:
    """The head and the tail of what is fed to it.

    Args:
        limit: characters to keep, half from each end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._room = limit * _BYTES_PER_CHAR // 2
        self._reset()

    def feed(self, data: bytes) -> None:
        """Add bytes at the end of the stream."""
        self._total += len(data)
        room = self._room - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 4 * self._room:
            del self._tail[: -self._room]

    def take(self) -> str:
        """What was fed since the last call, as text of at most `limit` characters plus a note on what was cut."""
        whole = self._total == len(self._head) + len(self._tail)
        text = (self._head + self._tail).decode(errors="replace")
        if not whole or len(text) > self._limit:
            half = self._limit // 2
            head, tail = text[:half], text[-half:]
            cut = max(0, self._total - len(head.encode()) - len(tail.encode()))
            text = f"{head}\n[... {cut:,} bytes cut ...]\n{tail}"
        self._reset()
        return text

    def _reset(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
