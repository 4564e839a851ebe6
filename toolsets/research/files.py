"""Which files may be read: those of the run, and those below folders that the user named."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from deepagent.errors import ToolFailedError, UsageError
from deepagent.sandbox.workspace import names, read_one
from deepagent.tools import FILES
from deepagent.toolsets.research.reading import MOST_BYTES

_MOST_LISTED = 500
_WORKSPACE = "/workspace/"


class Folders:
    """Reads and lists files. No link is followed, and nothing above a folder can be reached.

    Args:
        folders: the folders that the user named.

    Raises:
        UsageError: one is no folder.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"there is no folder {folder} whose files could be read; check the path")
        self._folders = [folder.resolve() for folder in folders]

    def read(self, name: str) -> bytes:
        """The content of a file, by its name in the run or its path in or below a folder.

        Raises:
            ToolFailedError: there is none, or it may not be read.
        """
        own = FILES.get()
        found: bytes | str | None = own.read(name.removeprefix(_WORKSPACE)) if own is not None else None
        for folder in self._folders if found is None else ():
            found = _below(folder, name)
            if found is not None:
                break
        if isinstance(found, bytes):
            return found
        if found is not None:
            raise ToolFailedError(f"{name} cannot be read: it is {found}")
        known = ", ".join(islice(self.listed(), 10))
        raise ToolFailedError(f"there is no file {name!r} that may be read; there is {known or 'none at all'}")

    def listed(self) -> Iterator[str]:
        """The names of the files that can be read, those of the run first."""
        own = FILES.get()
        yield from own.names() if own is not None else ()
        for folder in self._folders:
            for path, size in islice(_names(folder), _MOST_LISTED):
                yield f"{path} ({size:,} bytes)"


def _below(folder: Path, name: str) -> bytes | str | None:
    path = Path(name)
    if path.is_absolute():
        if not path.is_relative_to(folder):
            return None
        name = str(path.relative_to(folder))
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return read_one(fd, name, most_bytes=MOST_BYTES)
    finally:
        os.close(fd)


def _names(folder: Path) -> Iterator[tuple[str, int]]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from names(fd)
    finally:
        os.close(fd)
