"""Text on its way to the host."""

from __future__ import annotations


def shorten(text: str, limit: int) -> str:
    """The head and the tail of a text, `limit` characters together, with a note on what was cut between them."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters cut ...]\n{text[-half:]}"


def printable(text: str) -> str:
    """Text with halves of surrogate pairs spelled out: the host takes no frame with them."""
    return text.encode("utf-8", "backslashreplace").decode()
