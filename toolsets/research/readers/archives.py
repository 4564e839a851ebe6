"""Archives: what is in them, and one member. Nothing is ever written under a name that stands in an archive."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from .document import Document, Part, UnreadableError

MOST_ENTRIES = 100_000
_SHOWN = 1000
MEMBER_BYTES = 50_000_000
_UNPACKED_BYTES = 500_000_000
"""Of a compressed tar: more is not unpacked, not even to be listed."""

_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_ENTRY = b"PK\x01\x02"
"""How an entry of a zip's directory begins."""

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
           RuntimeError, ValueError, struct.error)  # fmt: skip
"""What the standard library raises for archives that are damaged, encrypted or of a kind that it does not know."""


def list_zip(data: bytes) -> Document:
    """Names and sizes of what is in a zip."""
    entries = [(one.filename, one.file_size, one.is_dir()) for one in _opened(data).infolist()]
    return _listing("zip archive", entries)


def zip_member(data: bytes, name: str) -> bytes:
    """The content of one member."""
    archive = _opened(data)
    try:
        with archive.open(name) as stream:
            return _bounded(stream, name)
    except KeyError:
        raise _absent(name, archive.namelist()) from None
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def list_tar(data: bytes) -> Document:
    """Names and sizes of what is in a tar, however it is compressed."""
    entries = [(one.name, one.size, one.isdir()) for one, _ in _tar(data)]
    return _listing("tar archive", entries)


def tar_member(data: bytes, name: str) -> bytes:
    """The content of one member. Links and devices have none."""
    names = []
    for member, archive in _tar(data):
        names.append(member.name)
        if member.name == name and member.isreg():
            stream = archive.extractfile(member)
            if stream is not None:
                return _bounded(stream, name)
    raise _absent(name, names)


def unpack(data: bytes) -> bytes:
    """What a single compressed file holds (gzip, bzip2, xz)."""
    try:
        with _OPENERS[data[:2]](io.BytesIO(data)) as stream:
            return _bounded(stream, "it")
    except _DAMAGE as error:
        raise _damaged("it", error) from error


def is_tar(data: bytes) -> bool:
    """Whether a compressed file holds a tar."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            return archive.next() is not None
    except _DAMAGE:
        return False


def _opened(data: bytes) -> zipfile.ZipFile:
    count = data.count(_ENTRY)  # what the archive claims of itself is not believed
    if count > MOST_ENTRIES:
        raise UnreadableError(f"it holds {count:,} entries; archives of more than {MOST_ENTRIES:,} are not opened")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except _DAMAGE as error:
        raise _damaged("it", error) from error


def _tar(data: bytes) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Members with their archive, one after the other."""
    try:
        with tarfile.open(fileobj=_Unpacked(data), mode="r|") as archive:  # type: ignore[call-overload]
            count = 0
            while (member := archive.next()) is not None:
                count += 1
                if count > MOST_ENTRIES:
                    raise UnreadableError(f"it holds more than {MOST_ENTRIES:,} entries, which are not read")
                yield member, archive
                archive.members = []  # else it keeps them all
    except _DAMAGE as error:
        raise _damaged("it", error) from error


class _Unpacked:
    """The bytes of a tar, unpacked, up to a limit."""

    def __init__(self, data: bytes) -> None:
        opener = _OPENERS.get(data[:2])
        self._stream: IO[bytes] = opener(io.BytesIO(data)) if opener else io.BytesIO(data)
        self._left = _UNPACKED_BYTES

    def read(self, size: int) -> bytes:
        """More of them."""
        piece = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise UnreadableError(f"it unpacks to more than {_UNPACKED_BYTES:,} bytes, which are not read")
        return piece


def _bounded(stream: Any, name: str) -> bytes:
    data: bytes = stream.read(MEMBER_BYTES + 1)
    if len(data) > MEMBER_BYTES:
        raise UnreadableError(f"{name} unpacks to more than {MEMBER_BYTES:,} bytes, which are not read")
    return data


def _listing(what: str, entries: list[tuple[str, int, bool]]) -> Document:
    total = sum(size for _, size, _ in entries)
    lines = [f"{name}\t{'folder' if folder else f'{size:,} bytes'}" for name, size, folder in entries[:_SHOWN]]
    notes = [f"{len(entries) - _SHOWN:,} more entries are not shown"] if len(entries) > _SHOWN else []
    about = f"{what} of {len(entries):,} entries, {total:,} bytes unpacked; read one by giving its name as part"
    return Document(about, [Part("entries", "\n".join(lines))], notes)


def _absent(name: str, names: list[str]) -> UnreadableError:
    near = [one for one in names if one.rpartition("/")[2] == name.rpartition("/")[2]][:3] or names[:10]
    return UnreadableError(f"there is no {name!r} in it; there is {', '.join(near) or 'nothing'}")


def _damaged(name: str, error: Exception) -> UnreadableError:
    if "encrypted" in str(error):
        return UnreadableError(f"{name} is encrypted, and its password is not known")
    return UnreadableError(f"{name} is damaged: {type(error).__name__}: {error}")
