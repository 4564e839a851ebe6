"""PDF: the text of each page."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

from .document import Document, Limit, Part, UnreadableError

_RANGE = re.compile(r"(?:pages?\s*)?(\d+)(?:\s*-\s*(\d+))?", re.IGNORECASE)


def read_pdf(data: bytes, part: str) -> Document:
    """The pages, or those of `part`: a number, or first and last one (`3-7`)."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableError("it is encrypted, and its password is not known")
    count = len(reader.pages)
    first, last = _pages(part, count)
    limit = Limit()
    parts: list[Part] = []
    for number, text in zip(range(first, last + 1), limit.take(_texts(reader, first, last)), strict=False):
        parts.append(Part(f"page {number}", text))
    title = reader.metadata.title if reader.metadata else None
    about = f"PDF of {count} page{'s' if count != 1 else ''}{f', {title!r}' if title else ''}"
    notes = []
    if limit.reached:
        notes.append(f"{limit.reached}; pages {first + len(parts)}-{last} are left: ask for them by part")
    if parts and not any(one.text.strip() for one in parts):
        notes.append("there is no text in it: it may be scanned images")
    return Document(about, parts, notes)


def _pages(part: str, count: int) -> tuple[int, int]:
    if not part:
        return 1, count
    match = _RANGE.fullmatch(part.strip())
    first = int(match.group(1)) if match else 0
    last = int(match.group(2) or first) if match else 0
    if not 1 <= first <= last <= count:
        raise UnreadableError(f"there is no part {part!r}; give a page from 1 to {count}, or two as in 3-7")
    return first, last


def _texts(reader: Any, first: int, last: int) -> Iterator[str]:
    for number in range(first - 1, last):
        yield (reader.pages[number].extract_text() or "").strip()
