"""The shop's pages: what each shows, and where each click leads.

A page is a function of where the visitor is, so that text for an agent, HTML for a person and the search for the right
way are all read from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from deepagent.toolsets.webshop.catalogue import Product, Review, Shop

PER_PAGE = 10
SEPARATOR = " [SEP] "
SUB_PAGES = ("Description", "Features", "Reviews")

Place = Literal["index", "results", "item", "sub", "done"]
Kind = Literal["text", "title", "instruction", "button", "link", "option", "score"]


@dataclass(frozen=True)
class View:
    """Where a visitor is.

    Attributes:
        number: of the page of results, from 1.
        options: what has been chosen of the item.
        sub: which of the item's sub-pages.
    """

    place: Place = "index"
    keywords: str = ""
    number: int = 1
    asin: str = ""
    options: dict[str, str] = field(default_factory=dict)
    sub: str = ""


@dataclass(frozen=True)
class Part:
    """A piece of a page.

    Attributes:
        target: where a click on it leads; None where it cannot be clicked.
        group: what an option is a choice of.
        chosen: it is the option that has been chosen.
    """

    text: str
    kind: Kind = "text"
    target: View | None = None
    group: str = ""
    chosen: bool = False


@dataclass(frozen=True)
class Page:
    """What a visitor sees."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """As the original's observation mode `text` shows it."""
        return SEPARATOR.join(part.text for part in self.parts)

    @property
    def clickable(self) -> dict[str, View]:
        """Where clicks lead, by the text of what is clicked in lower case; as in the original the last of equals."""
        return {part.text.lower(): part.target for part in self.parts if part.target is not None}


def render(shop: Shop, instruction: str, view: View, score: float = 0.0) -> Page:
    """The page at a place.

    Args:
        shop: whose pages they are.
        instruction: what the visitor is to buy, shown on every page.
        view: the place.
        score: of the purchase, for the last page.
    """
    if view.place == "done":
        thanks = "Thank you for shopping with us!"
        return Page((Part(thanks, "title"), Part("Your score (min 0.0, max 1.0)"), Part(str(score), "score")))
    head = (Part("Instruction:"), Part(instruction, "instruction"))
    if view.place == "index":
        return Page((Part("WebShop", "title"), *head, Part("Search", "button")))
    back = Part("Back to Search", "button", View())
    if view.place == "results":
        return Page((*head, back, *_results(shop, view)))
    product = shop.products[view.asin]
    if view.place == "sub":
        return Page((*head, back, Part("< Prev", "button", replace(view, place="item")), *_sub_page(product, view.sub)))
    prev = Part("< Prev", "button", replace(view, place="results", asin="", options={}))
    return Page((*head, back, prev, *_item(product, view)))


def _results(shop: Shop, view: View) -> Iterator[Part]:
    found = shop.search(view.keywords)
    yield Part(f"Page {view.number} (Total results: {len(found)})")
    if view.number > 1:
        yield Part("< Prev", "button", replace(view, number=view.number - 1))
    if view.number * PER_PAGE < len(found):
        yield Part("Next >", "button", replace(view, number=view.number + 1))
    for product in found[(view.number - 1) * PER_PAGE : view.number * PER_PAGE]:
        yield Part(product.asin, "link", replace(view, place="item", asin=product.asin))
        yield Part(product.title)
        yield Part(product.price_tag)


def _item(product: Product, view: View) -> Iterator[Part]:
    for name, values in product.options.items():
        yield Part(name)
        for value in values:
            target = replace(view, options={**view.options, name: value})
            yield Part(value, "option", target, group=name, chosen=view.options.get(name) == value)
    yield Part(product.title, "title")
    yield Part(f"Price: {product.price_tag}")
    yield Part(f"Rating: {product.rating}")
    for sub in SUB_PAGES:
        yield Part(sub, "button", replace(view, place="sub", sub=sub))
    yield Part("Buy Now", "button", replace(view, place="done"))


def _sub_page(product: Product, sub: str) -> Iterator[Part]:
    if sub == "Description":
        yield Part(product.description or "No Description")
    elif sub == "Features":
        yield from (Part(feature) for feature in product.features or ("No Features",))
    else:
        yield from _reviews(product.reviews)


def _reviews(reviews: tuple[Review, ...]) -> Iterator[Part]:
    if not reviews:
        yield Part("No reviews found")
    for review in reviews:
        yield Part(f'"{review.title}"')
        yield Part(review.score)
        yield Part(review.body)
