"""An offline search engine over documents of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepagent.errors import ToolFailedError, UsageError
from deepagent.retrieval.lexical import LexicalIndex
from deepagent.toolsets.functions import in_daemon_thread
from deepagent.toolsets.research.passages import best_passage
from deepagent.toolsets.research.search import Found

_MOST_DOCUMENTS = 200_000
_TEXT_CHARS = 300


@dataclass(frozen=True)
class Entry:
    """One document of a corpus."""

    url: str
    title: str
    text: str


class Corpus:
    """Documents, searched by words (BM25). They are read and indexed by the first search.

    Args:
        folder: where they lie; links are not followed.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder} to search; name one that holds documents")
        self._folder = folder
        self._entries: list[Entry] = []
        self._pages: dict[str, Entry] = {}
        self._index: LexicalIndex | None = None

    async def search(self, query: str, count: int) -> list[Found]:
        """See `SearchEngine`."""
        found: list[Found] = await in_daemon_thread(self._search, {"query": query, "count": count})
        return found

    async def page(self, url: str) -> Entry:
        """The document of this address.

        Raises:
            ToolFailedError: there is none.
        """
        await in_daemon_thread(self._load, {})
        if url in self._pages:
            return self._pages[url]
        raise ToolFailedError(f"the corpus has no document {url!r}; open an address that web_search gave")

    def _search(self, query: str, count: int) -> list[Found]:
        scores = self._load().scores([query])[0]
        best = [row for row in (-scores).argsort(kind="stable")[:count] if scores[row] > 0]
        return [
            Found(title=one.title, url=one.url, text=best_passage(one.text, query, _TEXT_CHARS))
            for one in (self._entries[row] for row in best)
        ]

    def _load(self) -> LexicalIndex:
        if self._index is None:
            self._entries = list(_read(self._folder))
            self._pages = {one.url: one for one in self._entries}
            self._index = LexicalIndex.of([f"{one.title} {one.text}" for one in self._entries])
        return self._index


def _read(folder: Path) -> Iterator[Entry]:
    count = 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix == ".jsonl":
            entries = _lines(path)
        elif path.suffix in (".md", ".txt", ".html"):
            text = path.read_text(encoding="utf-8", errors="replace")
            entries = iter([Entry(f"corpus:{path.relative_to(folder)}", path.stem, text)])
        else:
            continue
        for entry in entries:
            count += 1
            if count > _MOST_DOCUMENTS:
                raise UsageError(f"{folder} holds more than {_MOST_DOCUMENTS:,} documents; search fewer")
            yield entry


def _lines(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                data = json.loads(line)
                yield Entry(str(data["url"]), str(data.get("title", "")), str(data["text"]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UsageError(f"{path}:{number} is no document: write an object with url, title and text") from error
