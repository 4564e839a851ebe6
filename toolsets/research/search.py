"""Web search: one protocol, and the engines behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlencode

from pydantic import BaseModel

from deepagent.errors import ToolFailedError
from deepagent.secrets import Redactor
from deepagent.toolsets.http import Fetcher, Guard, Request, Response, host_of
from deepagent.toolsets.research.config import BraveConfig, SearxngConfig, SerperConfig

_TEXT_CHARS = 500
_SECONDS = 20.0
_MAX_BYTES = 5_000_000


class Found(BaseModel):
    """One result of a search."""

    title: str
    url: str
    text: str


class SearchEngine(Protocol):
    """Finds pages."""

    async def search(self, query: str, count: int) -> list[Found]:
        """The best results, best first.

        Args:
            query: what to look for.
            count: the most results.

        Raises:
            ToolError: the engine cannot be asked, or answers what is no result.
        """
        ...


class WebEngine:
    """An engine that is asked over HTTP with one request.

    Args:
        url: its server, named by the user, so it may lie at a private address.
        request: makes the request of a query.
        results: where in the answer the results are.
        fields: what title, address and text are called in a result.
        redactor: knows the key.
    """

    def __init__(
        self,
        url: str,
        request: Callable[[str, int], Request],
        *,
        results: tuple[str, ...],
        fields: tuple[str, str, str],
        redactor: Redactor,
    ) -> None:
        self._host = host_of(url)
        self._request = request
        self._results = results
        self._fields = fields
        self._redactor = redactor

    async def search(self, query: str, count: int) -> list[Found]:
        """See `SearchEngine`."""
        guard = Guard(
            hosts=frozenset({self._host}), named=frozenset({self._host}), seconds=_SECONDS, max_bytes=_MAX_BYTES
        )
        async with Fetcher(guard) as fetcher:
            response = await fetcher.fetch(self._request(query, count))
        if response.status != 200:
            said = " ".join(self._redactor.struck(response.text()).split())[:200]
            raise ToolFailedError(f"{self._host} answers with status {response.status}: {said}")
        return self._read(response)[:count]

    def _read(self, response: Response) -> list[Found]:
        try:
            found: Any = json.loads(response.body)
        except (ValueError, RecursionError) as error:
            raise ToolFailedError(f"{self._host} answers with what is no JSON; is it a search engine?") from error
        for name in self._results:
            found = found.get(name) if isinstance(found, dict) else None
        results = (self._one(one) for one in (found if isinstance(found, list) else []) if isinstance(one, dict))
        return [one for one in results if one.url]

    def _one(self, result: dict[str, Any]) -> Found:
        title, url, text = (self._redactor.struck(str(result.get(name) or "")) for name in self._fields)
        return Found(title=title, url=url, text=" ".join(text.split())[:_TEXT_CHARS])


def serper(config: SerperConfig) -> WebEngine:
    """See `SerperConfig`."""
    redactor = Redactor()

    def request(query: str, count: int) -> Request:
        key = config.key.reveal()
        redactor.learn([key])
        body = json.dumps({"q": query, "num": count}).encode()
        headers = {"X-API-KEY": key, "Content-Type": "application/json"}
        return Request("POST", f"{config.url.rstrip('/')}/search", headers, body)

    return WebEngine(config.url, request, results=("organic",), fields=("title", "link", "snippet"), redactor=redactor)


def brave(config: BraveConfig) -> WebEngine:
    """See `BraveConfig`."""
    redactor = Redactor()

    def request(query: str, count: int) -> Request:
        key = config.key.reveal()
        redactor.learn([key])
        asked = urlencode({"q": query[:400], "count": min(count, 20), "text_decorations": "false"})
        headers = {"X-Subscription-Token": key, "Accept": "application/json"}
        return Request("GET", f"{config.url.rstrip('/')}/res/v1/web/search?{asked}", headers)

    return WebEngine(
        config.url, request, results=("web", "results"), fields=("title", "url", "description"), redactor=redactor
    )


def searxng(config: SearxngConfig) -> WebEngine:
    """See `SearxngConfig`."""

    def request(query: str, count: int) -> Request:
        return Request("GET", f"{config.url.rstrip('/')}/search?{urlencode({'q': query, 'format': 'json'})}")

    return WebEngine(config.url, request, results=("results",), fields=("title", "url", "content"), redactor=Redactor())
