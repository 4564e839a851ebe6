"""A visit to the original's server, or to any site with the same pages (such as `site.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

from deepagent.errors import ToolFailedError
from deepagent.toolsets.http import Fetcher, Request
from deepagent.toolsets.webshop.pages import SEPARATOR
from deepagent.toolsets.webshop.reward import Reward
from deepagent.toolsets.webshop.visit import not_there

_SILENT = ("script", "style", "head", "title")
_VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
_OK = 200


@dataclass
class _Read(HTMLParser):
    """What a page shows and where its clicks lead.

    Hidden parts are left out: the last page of the original holds the goal in one.
    """

    texts: list[str] = field(default_factory=list)
    clickable: dict[str, tuple[str, str]] = field(default_factory=dict)
    score: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, bool]] = []
        self._action = self._link = ""
        self._in_button = self._in_score = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            style = given.get("style", "").replace(" ", "")
            self._open.append((tag, tag in _SILENT or "hidden" in given or "display:none" in style))
        if tag == "form":
            self._action = given.get("action", "")
        elif tag == "button":
            self._in_button = True
        elif tag == "a" and "product-link" in given.get("class", ""):
            self._link = given.get("href", "")
        elif tag == "input" and given.get("type") == "radio":
            self.clickable[given.get("value", "").lower()] = "GET", given.get("data-url", "")
        if given.get("id") == "reward":
            self._in_score = True

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self._open]
        if tag in names:  # what was never closed inside of it ends with it
            del self._open[len(names) - 1 - names[::-1].index(tag) :]
        if tag == "form":
            self._action = ""
        elif tag == "button":
            self._in_button = False
        elif tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        text = data.strip()
        if not text or any(silent for _, silent in self._open):
            return
        self.texts.append(text)
        if self._in_button and self._action:
            self.clickable[text.lower()] = "POST", self._action
        elif self._link:
            self.clickable[text.lower()] = "GET", self._link
        elif self._in_score and not self.score:
            self.score = text if text.replace(".", "", 1).isdigit() else ""


class RemoteVisit:
    """A visit over HTTP.

    Args:
        fetcher: entered.
        url: of the visit's first page, such as `http://127.0.0.1:3000/fixed_7`; the number is the goal's.
    """

    def __init__(self, fetcher: Fetcher, url: str) -> None:
        self._fetcher = fetcher
        self._url = url
        self._at = url
        self._page: _Read | None = None
        self.reward: Reward | None = None

    async def look(self) -> str:
        """As `Visit`."""
        return SEPARATOR.join((await self._opened()).texts)

    async def search(self, keywords: str) -> str:
        """As `Visit`."""
        if not keywords.strip():
            raise ToolFailedError("the search is empty; give some words")
        await self._opened()  # the server makes the visit when its first page is fetched
        headers = {"content-type": "application/x-www-form-urlencoded"}
        body = urlencode({"search_query": keywords.lower()}).encode()
        return await self._go(Request("POST", self._url, headers, body))

    async def click(self, value: str) -> str:
        """As `Visit`."""
        clickable = (await self._opened()).clickable
        wanted = value.strip().lower()
        if wanted not in clickable or wanted == "search":
            raise not_there(value, (text for text in clickable if text != "search"))
        method, where = clickable[wanted]
        shown = await self._go(Request(method, urljoin(self._at, where)))
        if wanted == "buy now":
            worth = float((await self._opened()).score or 0)
            self.reward = Reward(worth, min(worth, 1.0))
        return shown

    async def _opened(self) -> _Read:
        if self._page is None:
            await self._go(Request("GET", self._url))
        assert self._page is not None
        return self._page

    async def _go(self, request: Request) -> str:
        response = await self._fetcher.fetch(request)
        if response.status != _OK:
            raise ToolFailedError(f"the shop answered with status {response.status}; try something else")
        page = _Read()
        page.feed(response.text())
        page.close()
        self._page, self._at = page, response.url
        return SEPARATOR.join(page.texts)
