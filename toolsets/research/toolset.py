"""The research toolset: search, browse, read files, look at images.

Python is no tool of it: code runs in the sandbox (`Execute`), and calls these tools as functions there.
"""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from deepagent.errors import ModelError, ToolFailedError, UsageError
from deepagent.models.base import Sampling
from deepagent.tools import FILES, RUN, Tool
from deepagent.toolsets.base import Host
from deepagent.toolsets.functions import in_daemon_thread, tool
from deepagent.toolsets.http import Fetcher, Guard, Request, Response, shown
from deepagent.toolsets.research import search
from deepagent.toolsets.research.audio import ServerTranscriber, Transcriber
from deepagent.toolsets.research.config import (
    BraveConfig,
    CorpusConfig,
    ResearchConfig,
    SearchConfig,
    SearxngConfig,
)
from deepagent.toolsets.research.corpus import Corpus
from deepagent.toolsets.research.files import Folders
from deepagent.toolsets.research.kinds import decoded, kind_of
from deepagent.toolsets.research.passages import matching, piece
from deepagent.toolsets.research.reading import Document, Part, Reader
from deepagent.transcript import Message

_HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; deepagent)",
    "Accept": "text/html,application/xhtml+xml,application/pdf;q=0.9,*/*;q=0.8",
}
_REMEMBERED = 32
_MOST_RESULTS = 20
_ANSWER_TOKENS = 1024
_IN_TEXT = ("text", "html")
"""Kinds whose pages are shown; others are kept as files of the run besides."""


class Research:
    """The toolset.

    Args:
        config: what it may use.
        host: lends the walls that files are read behind, and the model that looks at images.
        transcriber: turns recordings into text; by default the one that the settings name.

    Raises:
        UsageError: a folder is not there.
    """

    name = "research"

    def __init__(
        self, config: ResearchConfig, host: Host | None = None, *, transcriber: Transcriber | None = None
    ) -> None:
        self._config = config
        self._host = host or Host()
        self._reader = Reader(self._host.sandbox)
        self._folders = Folders(config.folders)
        self._engine = _engine(config.search)
        named = ServerTranscriber(config.transcriber) if config.transcriber else None
        self._transcriber = transcriber or named
        self._fetcher = Fetcher(
            Guard(named=frozenset(config.hosts), max_bytes=config.max_bytes, seconds=config.seconds)
        )
        self._known: OrderedDict[tuple[str, ...], Document] = OrderedDict()
        offered: list[Callable[..., Any]] = [self.browse, self.read_file, self.list_files, self.ask_image]
        if self._engine is not None:
            offered.insert(0, self.web_search)
        self.tools: tuple[Tool, ...] = tuple(tool(effect="pure", toolset=self.name)(one) for one in offered)

    async def __aenter__(self) -> Self:
        await self._fetcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._known.clear()
        await self._fetcher.__aexit__(kind, error, traceback)

    async def web_search(self, query: str, count: int = 8) -> list[dict[str, str]]:
        """Searches the web. Returns title, address and an excerpt of each page found; browse opens one.

        Args:
            query: what to look for, in a few words.
            count: the most results.
        """
        assert self._engine is not None  # or it is not offered
        found = await self._engine.search(query, min(max(count, 1), _MOST_RESULTS))
        if not found:
            raise ToolFailedError(f"nothing was found for {query!r}; search for other words")
        return [one.model_dump() for one in found]

    async def browse(self, url: str, find: str = "", start: int = 0, links: bool = False) -> str:
        """Opens a web page or a document on the web. Returns its main text, or what it says about something.

        Args:
            url: address of the page.
            find: only passages about this.
            start: first character to show, to go on in a long text.
            links: show the page's links instead of its text.
        """
        document = await self._page(url)
        if not links:
            return self._shown(document, document.text, find, start)
        found = "\n".join(
            f"{text}: {target}" for text, target in document.links if find.lower() in f"{text} {target}".lower()
        )
        return self._shown(document, found or "no such links", "", start)

    async def read_file(self, path: str, part: str = "", find: str = "", start: int = 0) -> str:
        """Reads a file as text: spreadsheets (xlsx, csv), documents (docx, pdf, html), slides (pptx), code, archives.

        Args:
            path: name of the file.
            part: only this sheet, page (or 3-7), slide, or member of an archive.
            find: only passages about this.
            start: first character to show, to go on in a long text.
        """
        data = await in_daemon_thread(self._folders.read, {"name": path})
        key = (RUN.get(), path, part, hashlib.sha256(data).hexdigest())
        if key not in self._known:
            self._remember(key, await self._read(data, path, part))
        document = self._known[key]
        return self._shown(document, document.text, find, start)

    async def list_files(self) -> str:
        """Lists the files that can be read."""
        return "\n".join(islice(self._folders.listed(), 200)) or "there are no files"

    async def ask_image(self, image: str, question: str) -> str:
        """Looks at an image and answers a question about it.

        Args:
            image: name of a file, or the address of an image on the web.
            question: what to look for.
        """
        try:
            model = await self._host.model("vision")
        except UsageError as error:
            raise ToolFailedError(f"nobody can look at images here: {error}") from error
        if urlsplit(image).scheme in ("http", "https"):
            data = (await self._fetch(image)).body
        else:
            data = await in_daemon_thread(self._folders.read, {"name": image})
        picture = await self._reader.shown(data, image)
        url = f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
        message = Message(role="user", content=question, images=(url,))
        try:
            reply = await model.chat([message], Sampling(max_tokens=_ANSWER_TOKENS))
        except ModelError as error:
            raise ToolFailedError(f"the model that looks at images does not answer: {error}") from error
        return reply.segment.text.strip()

    def _shown(self, document: Document, text: str, find: str, start: int) -> str:
        """A piece of a document, under what it is."""
        room = self._config.chars
        if find:
            shown_text = matching(text, find, room) or f"nothing in it speaks of {find!r}"
        else:
            shown_text = piece(text, start, room)
        head = [f"[{line}]" for line in (document.about, *document.notes)]
        return "\n".join([*head, shown_text])

    async def _page(self, url: str) -> Document:
        """The document at an address, remembered for the run."""
        if isinstance(self._engine, Corpus):
            entry = await self._engine.page(url)
            if not url.endswith(".html"):
                return _plain(entry.title, entry.text)
            return await self._reader.read(entry.text.encode(), url)
        key = (RUN.get(), url)
        if key not in self._known:
            response = await self._fetch(url)
            name = urlsplit(response.url).path.rpartition("/")[2] or "page"
            self._remember(key, await self._opened(response, name))
        return self._known[key]

    async def _opened(self, response: Response, name: str) -> Document:
        """What was fetched as text; what is more than a page is kept as a file too."""
        kind = kind_of(response.body, name, response.kind)
        if kind == "text":
            return _plain(shown(response.url), decoded(response.body, response.charset))
        document = await self._read(response.body, name, "", claimed=response.kind, url=response.url)
        files = FILES.get()
        if kind not in _IN_TEXT and files is not None:
            document.notes.append(f"kept as the file {files.keep(name, response.body)!r}, for read_file and ask_image")
        return document

    async def _read(self, data: bytes, name: str, part: str, *, claimed: str = "", url: str = "") -> Document:
        if self._transcriber is not None and kind_of(data, name, claimed) == "audio":
            return _plain(f"recording {name}, transcribed", await self._transcriber.transcribe(data, name))
        return await self._reader.read(data, name, part=part, claimed=claimed, url=url)

    async def _fetch(self, url: str) -> Response:
        response = await self._fetcher.fetch(Request("GET", url, _HEADERS))
        if response.status >= 400:
            raise ToolFailedError(f"{shown(url)} answers with status {response.status}; try another page")
        return response

    def _remember(self, key: tuple[str, ...], document: Document) -> None:
        self._known[key] = document
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _plain(about: str, text: str) -> Document:
    return Document(about=about or "text", parts=[Part(name="text", text=text)])


def _engine(config: SearchConfig | None) -> search.SearchEngine | None:
    if config is None:
        return None
    if isinstance(config, CorpusConfig):
        return Corpus(config.folder)
    if isinstance(config, SearxngConfig):
        return search.searxng(config)
    return search.brave(config) if isinstance(config, BraveConfig) else search.serper(config)
