"""What a file is, by its content first: names and servers claim anything."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

Kind = Literal[
    "text", "html", "pdf", "xlsx", "docx", "pptx", "image", "audio", "zip", "tar", "packed", "old office", "binary"
]

_OFFICE: dict[str, Kind] = {
    ".xlsx": "xlsx", ".xlsm": "xlsx", ".docx": "docx", ".docm": "docx", ".pptx": "pptx", ".pptm": "pptx"
}  # fmt: skip
_PARTS: dict[bytes, Kind] = {b"xl/workbook": "xlsx", b"word/document": "docx", b"ppt/presentation": "pptx"}
_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "packed"),
    (b"BZh", "packed"),
    (b"\xfd7zXZ\x00", "packed"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old office"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"BM", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"ID3", "audio"),
    (b"\xff\xfb", "audio"),
    (b"\xff\xf3", "audio"),
    (b"fLaC", "audio"),
    (b"OggS", "audio"),
)
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")
_TAR_MAGIC = slice(257, 262)
_LOOKED_AT = 4096
_CONTROL = frozenset(range(32)) - {8, 9, 10, 12, 13, 27}
_MOST_CONTROL = 0.02


def kind_of(data: bytes, name: str = "", claimed: str = "") -> Kind:
    """What the content is.

    Args:
        data: the content.
        name: of the file; tells Office formats apart, which all are zips.
        claimed: the media type that a server names; believed only between kinds of text.
    """
    suffix = PurePosixPath(name.lower()).suffix
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning) and not (kind == "image" and beginning == b"BM" and _is_text(data)):
            return _office(data, suffix) if kind == "zip" else kind
    if data[:4] == b"RIFF" and data[8:12] in (b"WEBP", b"WAVE"):
        return "image" if data[8:12] == b"WEBP" else "audio"
    if data[4:8] == b"ftyp" and suffix in (".m4a", ".mp4"):
        return "audio"
    if data[_TAR_MAGIC] == b"ustar":
        return "tar"
    if b"%PDF-" in data[:1024] and suffix == ".pdf":
        return "pdf"
    if not _is_text(data):
        return "binary"
    head = data[:_LOOKED_AT].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    looks = head.startswith(_HTML) or (head.startswith((b"<!--", b"<?xml")) and b"<html" in head)
    return "html" if looks or suffix in (".html", ".htm", ".xhtml") or "html" in claimed else "text"


def decoded(data: bytes, charset: str | None = None) -> str:
    """Text in the encoding that it shows or claims; UTF-8 where it shows none, then Latin-1."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(name, "replace")
    for name in (charset or "utf-8", "utf-8"):
        try:
            return data.decode(name)
        except (ValueError, LookupError):
            continue
    return data.decode("latin-1")


def _office(data: bytes, suffix: str) -> Kind:
    """A zip, or the Office format that its name tells, or its parts where the name tells nothing."""
    if suffix in _OFFICE:
        return _OFFICE[suffix]
    tail = data[-100_000:]  # where a zip names its parts
    if suffix == ".zip" or b"[Content_Types].xml" not in tail:
        return "zip"
    return next((kind for part, kind in _PARTS.items() if part in tail), "zip")


def _is_text(data: bytes) -> bool:
    piece = data[:_LOOKED_AT]
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return b"\0" not in piece and sum(byte in _CONTROL for byte in piece) <= _MOST_CONTROL * len(piece)
