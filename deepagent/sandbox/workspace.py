"""The files that code left in its workspace, read as what they are: made by somebody hostile.

The host holds the folder open, so the files can be read when the interpreter has died. They are read then, with
nobody left to change them, and in a way that would be safe otherwise too: no link is followed, nothing but a regular
file is opened for reading, and what is taken has limits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

MOST_FILES = 1000
_DEPTH = 20
_NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 2**20


@dataclass(frozen=True)
class Left:
    """What was found.

    Attributes:
        files: content by path within the workspace, `/` between the parts.
        skipped: what was not taken, and why, one line each.
    """

    files: dict[str, bytes]
    skipped: tuple[str, ...] = ()


def collect(folder: int, *, most_bytes: int) -> Left:
    """Read the files below a folder. Hidden ones are left alone, they are programs' own.

    Args:
        folder: an fd of it.
        most_bytes: of all files together.
    """
    files: dict[str, bytes] = {}
    skipped: list[str] = []
    room = most_bytes
    for path, parent, name in _walk(folder, "", skipped, _DEPTH):
        if len(files) == MOST_FILES:
            skipped.append(f"all after the first {MOST_FILES:,} files")
            break
        data = _read(parent, name, room)
        if isinstance(data, str):
            skipped.append(f"{path}: {data}")
        else:
            files[path] = data
            room -= len(data)
    return Left(files, tuple(skipped))


def read_one(folder: int, path: str, *, most_bytes: int) -> bytes | str | None:
    """Read one file below a folder, whoever else may be changing it; no part of the path is followed if it is a link.

    Args:
        folder: an fd of it.
        path: within the folder, `/` between the parts.
        most_bytes: of the file.

    Returns:
        The content; why it is not given, in words; or None where there is no such file.
    """
    *parents, name = [part for part in path.split("/") if part not in ("", ".")] or [""]
    if ".." in (*parents, name) or "\0" in path or not name:
        return None
    fd = os.dup(folder)
    try:
        for parent in parents:
            inner = os.open(parent, os.O_PATH | os.O_DIRECTORY | _NO_LINKS, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.stat(name, dir_fd=fd, follow_symlinks=False)
        return _read(fd, name, most_bytes)
    except FileNotFoundError:
        return None
    except OSError as error:
        return "a link" if error.errno in (errno.ELOOP, errno.ENOTDIR) else str(error.strerror)
    finally:
        os.close(fd)


def names(folder: int) -> Iterator[tuple[str, int]]:
    """Path and size of the files below a folder, links and hidden ones left out."""
    for path, parent, name in _walk(folder, "", [], _DEPTH):
        with contextlib.suppress(OSError):  # gone meanwhile
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                yield path, found.st_size


def _walk(folder: int, prefix: str, skipped: list[str], depth: int) -> Iterator[tuple[str, int, str]]:
    """Path, fd of the folder and name of every entry that may be a file."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | _NO_LINKS, dir_fd=folder)
    try:
        for name in sorted(os.listdir(fd)):
            if name.startswith("."):
                continue
            path = prefix + name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            try:
                kind = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
                if not stat.S_ISDIR(kind):
                    yield path, fd, name
                elif not depth:
                    skipped.append(f"{path}: too deep")
                else:
                    inner = os.open(name, os.O_PATH | os.O_DIRECTORY | _NO_LINKS, dir_fd=fd)
                    try:
                        yield from _walk(inner, f"{path}/", skipped, depth - 1)
                    finally:
                        os.close(inner)
            except OSError as error:
                skipped.append(f"{path}: {error.strerror}")
    finally:
        os.close(fd)


def _read(parent: int, name: str, room: int) -> bytes | str:
    """The content of a regular file, or why there is none."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | _NO_LINKS, dir_fd=parent)
    except OSError as error:
        return "a link" if error.errno == errno.ELOOP else str(error.strerror)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return "no regular file"
        if found.st_size > room:
            return f"too large ({found.st_size:,} bytes)"
        pieces: list[bytes] = []
        while room > 0 and (piece := os.read(fd, min(_PIECE, room))):  # it may have grown since
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)
