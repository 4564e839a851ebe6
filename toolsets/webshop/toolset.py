"""WebShop's two actions as tools, and a third that shows the page again."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from deepagent.errors import ToolFailedError
from deepagent.tools import Tool
from deepagent.toolsets.functions import tool
from deepagent.toolsets.http import Fetcher, Guard, host_of
from deepagent.toolsets.webshop.catalogue import Goal, Shop
from deepagent.toolsets.webshop.remote import RemoteVisit
from deepagent.toolsets.webshop.reward import Reward
from deepagent.toolsets.webshop.visit import OwnVisit, Visit


class WebShop:
    """An environment: one visit with one goal. It is done when something is bought.

    Args:
        visit: where.
        fetcher: is entered with the toolset, when the visit is one over HTTP.
    """

    name = "webshop"

    def __init__(self, visit: Visit, fetcher: Fetcher | None = None) -> None:
        self._visit = visit
        self._fetcher = fetcher
        self._stack = AsyncExitStack()
        self.tools = self._made()

    @classmethod
    def own(cls, shop: Shop, goal: Goal) -> WebShop:
        """A visit to a shop in this process."""
        return cls(OwnVisit(shop, goal))

    @classmethod
    def remote(cls, server: str, goal: int) -> WebShop:
        """A visit to the original's server.

        Args:
            server: its URL, such as `http://127.0.0.1:3000`.
            goal: number of the goal.
        """
        fetcher = Fetcher(Guard(hosts=frozenset({host_of(server)}), named=frozenset({host_of(server)})))
        return cls(RemoteVisit(fetcher, f"{server.rstrip('/')}/fixed_{goal}"), fetcher)

    @property
    def done(self) -> bool:
        """Whether something was bought."""
        return self._visit.reward is not None

    @property
    def reward(self) -> Reward | None:
        """What the purchase is worth; None before it."""
        return self._visit.reward

    async def __aenter__(self) -> Self:
        if self._fetcher is not None:
            await self._stack.enter_async_context(self._fetcher)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _made(self) -> tuple[Tool, ...]:
        @tool(toolset=self.name)
        async def search(keywords: str) -> str:
            """Searches the shop. Returns a page of products: number, title and price of each.

            Args:
                keywords: words that a product's title or description should hold.
            """
            return await self._open().search(keywords)

        @tool(toolset=self.name)
        async def click(value: str) -> str:
            """Clicks something on the page: a product's number, an option, or a button. Returns the page that opens.

            Args:
                value: what is clicked, as it stands on the page: a product's number, an option, or a button.
            """
            return await self._open().click(value)

        @tool(effect="pure", toolset=self.name)
        async def look() -> str:
            """Shows the page that is open, with the instruction."""
            return await self._visit.look()

        return search, click, look

    def _open(self) -> Visit:
        if self.done:
            raise ToolFailedError("the purchase is made, and the visit over; answer that it is done")
        return self._visit
