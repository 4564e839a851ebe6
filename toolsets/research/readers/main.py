"""Reads the one file that lies in the workspace, and leaves the result there."""

from __future__ import annotations

import json
from pathlib import Path

from . import archives, images, office, pages, pdf
from .document import Document, UnreadableError

IN, OUT, MEMBER = "input", "document.json", "member"


def main(kind: str, part: str, url: str) -> None:
    """Read it.

    Args:
        kind: what it is, as the host found out.
        part: what is wanted of it, or nothing.
        url: where it came from, or nothing.
    """
    data = Path(IN).read_bytes()
    try:
        made = read(data, kind, part, url)
        if isinstance(made, bytes):
            Path(MEMBER).write_bytes(made)
            return
        result = made.as_json()
    except UnreadableError as error:
        result = {"unreadable": str(error)}
    except MemoryError:
        result = {"unreadable": "reading it takes more memory than is allowed"}
    except RecursionError:
        result = {"unreadable": "it is nested too deeply"}
    except Exception as error:  # libraries raise anything for what is not as it should be
        result = {"unreadable": f"it is damaged, or not what it seems to be: {_told(error)}"}
    Path(OUT).write_text(json.dumps(result), encoding="utf-8", errors="replace")


def read(data: bytes, kind: str, part: str, url: str) -> Document | bytes:
    """The document, or the bytes of a member or of a shown image."""
    if kind == "packed":
        kind = "tar" if archives.is_tar(data) else "single"
    if kind == "single":
        return archives.unpack(data)
    if kind == "zip":
        return archives.zip_member(data, part) if part else archives.list_zip(data)
    if kind == "tar":
        return archives.tar_member(data, part) if part else archives.list_tar(data)
    if kind == "shown":
        return images.shrink(data)
    if kind == "image":
        return images.describe(data)
    if kind == "html":
        return pages.read_html(data, url)
    if kind == "pdf":
        return pdf.read_pdf(data, part)
    readers = {"xlsx": office.read_xlsx, "docx": office.read_docx, "pptx": office.read_pptx}
    return readers[kind](data, part)


def _told(error: BaseException) -> str:
    """The first cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
