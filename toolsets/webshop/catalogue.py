"""What a shop holds: products, and goals that say what to buy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property

from deepagent.actions import Frozen
from deepagent.retrieval.lexical import LexicalIndex

FOUND = 50
"""How many products a search finds at most, as in the original."""

_BOUNDS = [10.0 * step for step in range(1, 100)]
_NO_BOUND = 1_000_000.0


class Review(Frozen):
    """What a customer says."""

    title: str
    score: str
    body: str


class Product(Frozen):
    """A product.

    Attributes:
        asin: its number in the shop.
        query: the search by which the original's authors found it.
        product_category: its place in the shop's tree, such as `Beauty › Hair Care › Shampoo`.
        options: choices by what is chosen, all in lower case.
        attributes: short phrases that are true of it; they are not shown on any page.
        price: in dollars.
        price_tag: as shown; may be a range.
    """

    asin: str
    title: str
    category: str
    query: str
    product_category: str
    description: str
    features: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    attributes: tuple[str, ...]
    price: float
    price_tag: str
    rating: str = "N.A."
    reviews: tuple[Review, ...] = ()


class Goal(Frozen):
    """What is to be bought. All but the instruction is kept from the shopper.

    Attributes:
        asin: the product that the instruction was written for.
        options: the wanted choices.
        price_upper: the highest price in dollars.
    """

    asin: str
    instruction: str
    attributes: tuple[str, ...]
    options: tuple[str, ...]
    price_upper: float


class Shop:
    """Products that can be searched, and goals.

    Args:
        products: no two with one asin.
        goals: each for one of the products.
    """

    def __init__(self, products: Sequence[Product], goals: Sequence[Goal]) -> None:
        self.products = {product.asin: product for product in products}
        self.goals = tuple(goals)

    def search(self, keywords: str) -> list[Product]:
        """The products whose words fit best, at most `FOUND`."""
        scores = self._index.scores([keywords])[0]
        best = (-scores).argsort(kind="stable")[:FOUND]
        return [self._listed[number] for number in best if scores[number] > 0]

    @cached_property
    def _listed(self) -> tuple[Product, ...]:
        return tuple(self.products.values())

    @cached_property
    def _index(self) -> LexicalIndex:
        return LexicalIndex.of([_text(product) for product in self.products.values()])


def _text(product: Product) -> str:
    """What is searched, as in the original: title, description, first feature and options."""
    options = [f"{name}: {', '.join(values)}" for name, values in product.options.items()]
    return "\n".join([product.title, product.description, *product.features[:1], *options])


def price_bound(asin: str, price: float) -> tuple[float, str]:
    """A goal's highest price and the words for it: one of the next round figures above the product's price.

    The original draws it anew at every start; here a product always has the same one.
    """
    above = [bound for bound in _BOUNDS if bound > price][:4]
    if len(above) < 2:
        return _NO_BOUND, ""
    upper = max(random.Random(f"bound {asin}").sample(above, 2))  # noqa: S311 # nothing secret
    return upper, f", and price lower than {upper:.2f} dollars"
