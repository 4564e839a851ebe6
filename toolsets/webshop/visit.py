"""One visit to the shop: search, click, buy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from deepagent.errors import ToolFailedError
from deepagent.toolsets.webshop.catalogue import Goal, Shop
from deepagent.toolsets.webshop.pages import Page, View, render
from deepagent.toolsets.webshop.reward import NOTHING, Reward, reward

_NAMED = 40


class Visit(Protocol):
    """What a visitor does, in our shop or on a server."""

    @property
    def reward(self) -> Reward | None:
        """What the purchase is worth; None before it."""
        ...

    async def look(self) -> str:
        """The page that is open, as text."""
        ...

    async def search(self, keywords: str) -> str:
        """Search the shop. Returns the page of results."""
        ...

    async def click(self, value: str) -> str:
        """Click what bears this text. Returns the page that opens."""
        ...


class OwnVisit:
    """A visit to a shop in this process.

    Args:
        shop: the shop.
        goal: what is to be bought.

    Attributes:
        page: the page that is open.
    """

    def __init__(self, shop: Shop, goal: Goal) -> None:
        self._shop = shop
        self._goal = goal
        self.reward: Reward | None = None
        self.page = self._rendered(View())

    async def look(self) -> str:
        """As `Visit`."""
        return self.page.text

    async def search(self, keywords: str) -> str:
        """As `Visit`."""
        if not keywords.strip():
            raise ToolFailedError("the search is empty; give some words")
        self.page = self._rendered(View("results", keywords.lower()))
        return self.page.text

    async def click(self, value: str) -> str:
        """As `Visit`."""
        clickable = self.page.clickable
        target = clickable.get(value.strip().lower())
        if target is None:
            raise not_there(value, clickable)
        if target.place == "done":
            product, wanted = self._shop.products[target.asin], self._shop.products[self._goal.asin]
            self.reward = reward(product, wanted, self._goal, target.options)
        self.page = self._rendered(target)
        return self.page.text

    def _rendered(self, view: View) -> Page:
        return render(self._shop, self._goal.instruction, view, (self.reward or NOTHING).published)


def not_there(value: str, clickable: Iterable[str]) -> ToolFailedError:
    """The error of a click on what is not on the page."""
    named = list(clickable)[:_NAMED]
    hint = f"what can be clicked here is {', '.join(map(repr, named))}" if named else "use search"
    return ToolFailedError(f"there is no {value[:80]!r} on this page; {hint}")
