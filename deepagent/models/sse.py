"""Server-sent events, read from bytes as they arrive."""

from __future__ import annotations

from deepagent.errors import ModelReplyError

MAX_EVENT = 8 << 20
"""Bytes of one event; a server that never ends a line must not fill the memory."""


class EventParser:
    """Turns a byte stream, cut anywhere, into the data of its events.

    Lines may end in LF, CRLF or CR. Comments, names and ids are skipped: model servers say nothing with them.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._held = 0
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes and return the data of all events that are complete now.

        Raises:
            ModelReplyError: an event is larger than any reply.
        """
        events = []
        for line in self._lines(chunk):
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._size += len(line)
            elif not line and self._data:
                events.append(b"\n".join(self._data).decode(errors="replace"))
                self._data, self._size = [], 0
        if self._size + self._held > MAX_EVENT:
            raise ModelReplyError(
                f"the server sent an event of more than {MAX_EVENT >> 20} MiB: it is not a model server"
            )
        return events

    def _lines(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete with this chunk; the rest of the last one is held back."""
        if self._rest and b"\n" not in chunk and b"\r" not in chunk and not self._rest[-1].endswith(b"\r"):
            lines = [chunk]
        else:
            buffer = b"".join([*self._rest, chunk])
            self._rest, self._held = [], 0
            half = b"\r" if buffer.endswith(b"\r") else b""  # may be half of a CRLF
            lines = buffer.removesuffix(half).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            lines[-1] += half
        rest = lines.pop()
        self._rest.append(rest)
        self._held += len(rest)
        return lines
