"""M3ToolEval's tools of all families as one catalogue."""

from __future__ import annotations

import gzip
import json
from contextvars import ContextVar
from functools import cache
from importlib import resources
from types import TracebackType
from typing import Any, Self

from deepagent.tools import Tool
from deepagent.toolsets.functions import tool
from deepagent.toolsets.m3tooleval import ciphers, genes, trade
from deepagent.toolsets.m3tooleval.browser import Browser
from deepagent.toolsets.m3tooleval.travel import travel_tools

_browser: ContextVar[Browser] = ContextVar("browser")


@cache
def world() -> tuple[dict[str, Any], ...]:
    """The rows of the data file: flights, hotels, pages, and links that are to be mended."""
    data = resources.files("deepagent.toolsets.m3tooleval").joinpath("world.jsonl.gz").read_bytes()
    return tuple(json.loads(line) for line in gzip.decompress(data).splitlines())


class M3ToolEval:
    """The toolset. Every run has a browser of its own."""

    name = "m3tooleval"

    def __init__(self) -> None:
        self.reset()
        self.tools = (*ciphers.TOOLS, *genes.TOOLS, *trade.TOOLS, *travel_tools(world()), *_web_tools())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def reset(self) -> None:
        """Give the run that begins here a new browser (see `World`)."""
        pages = {row["name"]: row["content"] for row in world() if row["kind"] == "page"}
        links = {row["shown"]: row["page"] for row in world() if row["kind"] == "link"}
        _browser.set(Browser(pages, links))


def _web_tools() -> tuple[Tool, ...]:
    @tool(effect="idempotent", toolset="web_browsing")
    def click_url(url: str) -> str:
        """Clicks on a URL, which looks like [Clickable '<url>'] in a page. Returns the page that opens."""
        return _browser.get().click(url)

    @tool(toolset="web_browsing")
    def go_to_previous_page() -> str:
        """Goes back to the previous page. Returns it."""
        return _browser.get().back()

    @tool(toolset="web_browsing")
    def scroll_down() -> str:
        """Scrolls down. Returns what is then shown of the page."""
        return _browser.get().down()

    @tool(toolset="web_browsing")
    def scroll_up() -> str:
        """Scrolls up. Returns what is then shown of the page."""
        return _browser.get().up()

    @tool(effect="pure", toolset="web_browsing")
    def view() -> str:
        """Returns what is shown of the current page."""
        return _browser.get().view()

    return click_url, go_to_previous_page, scroll_down, scroll_up, view
