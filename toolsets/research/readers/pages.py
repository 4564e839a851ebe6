"""Web pages: the main text as Markdown, title and links."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urljoin, urlsplit

from .document import MOST_CHARS, Document, Part

_MOST_LINKS = 2000
_LINK_CHARS = 200
_NO_TEXT = ("script", "style", "noscript", "template")


def read_html(data: bytes, url: str) -> Document:
    """The page.

    Args:
        data: as it came, in whatever encoding.
        url: where from, so that links can be made whole; or nothing.
    """
    import trafilatura
    from trafilatura import metadata

    for name in ("trafilatura", "htmldate", "justext", "courlan"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    tree = trafilatura.load_html(data)
    if tree is None:
        return Document("page without content", [Part("text", "")], ["there is no text in it"])
    found = metadata.extract_metadata(tree, default_url=url or None)
    links = _links(tree, url)
    text = trafilatura.extract(
        data, url=url or None, output_format="markdown", include_tables=True, include_links=False, favor_recall=True,
        with_metadata=False, deduplicate=False,
    )  # fmt: skip
    notes = []
    if not text:
        text = _all_text(tree)
        if not text:
            notes.append("there is no text in it; it may need JavaScript")
    title = (found.title if found else None) or ""
    facts = [title] if title else []
    facts += [f"by {found.author}"] if found and found.author else []
    facts += [found.date] if found and found.date else []
    return Document(", ".join(facts) or "page", [Part("text", (text or "")[:MOST_CHARS])], notes, links)


def _links(tree: Any, url: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for anchor in tree.iter("a"):
        target = (anchor.get("href") or "").strip()
        if not target or target.startswith("#") or len(found) >= _MOST_LINKS:
            continue
        try:
            whole = urljoin(url, target)
            scheme = urlsplit(whole).scheme
        except ValueError:
            continue
        if scheme in ("http", "https", ""):
            text = " ".join("".join(anchor.itertext()).split())[:_LINK_CHARS]
            found[whole] = found.get(whole) or text
    return [(text, target) for target, text in found.items()]


def _all_text(tree: Any) -> str:
    for element in list(tree.iter(*_NO_TEXT)):
        element.clear()
    lines = (" ".join(line.split()) for line in "\n".join(tree.itertext()).splitlines())
    return "\n".join(line for line in lines if line)
