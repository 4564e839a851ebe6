"""A shop of made-up products with goals, the same for the same seed: WebShop without its item files.

The products are simpler than real ones and their number is small, so what an agent scores here says nothing of what it
would score on the original's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from importlib import resources

import yaml

from deepagent.actions import Frozen
from deepagent.toolsets.webshop.catalogue import Goal, Product, Review, Shop, price_bound

PRODUCTS = 1200
GOALS = 200

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


class _Type(Frozen):
    """A kind of product.

    Attributes:
        name: as in titles.
        places: in the shop's tree, below the category.
        traits: attributes that such a product may have.
        choices: what is chosen of it.
        price: lowest and highest, in dollars.
    """

    name: str
    category: str
    places: str
    traits: tuple[str, ...]
    choices: tuple[str, ...]
    price: tuple[float, float]


class _Words(Frozen):
    """The data file."""

    brands: tuple[str, ...]
    choices: dict[str, tuple[str, ...]]
    asked: tuple[str, ...]
    said: tuple[str, ...]
    types: tuple[_Type, ...]


@cache
def _words() -> _Words:
    data = resources.files("deepagent.toolsets.webshop").joinpath("products.yaml").read_text(encoding="utf-8")
    return _Words.model_validate(yaml.safe_load(data))


def synthetic_shop(seed: int = 0) -> Shop:
    """A shop of `PRODUCTS` products and `GOALS` goals.

    Args:
        seed: another one makes another shop.
    """
    luck = random.Random(f"shop {seed}")  # noqa: S311 # nothing secret
    types = _words().types
    products: dict[str, Product] = {}
    kinds: dict[str, _Type] = {}
    while len(products) < PRODUCTS:
        kind = types[len(products) % len(types)]
        product = _product(kind, luck)
        if product.asin not in products:
            products[product.asin], kinds[product.asin] = product, kind
    wanted = luck.sample(list(products.values()), GOALS)
    return Shop(list(products.values()), [_goal(product, kinds[product.asin], luck) for product in wanted])


def _product(kind: _Type, luck: random.Random) -> Product:
    traits = luck.sample(kind.traits, luck.randint(2, min(4, len(kind.traits))))
    brand, number = luck.choice(_words().brands), luck.randint(100, 999)
    price = round(luck.uniform(*kind.price), 2)
    told = luck.sample(traits, len(traits) - 1)
    return Product(
        asin="B0" + "".join(luck.choices(_LETTERS, k=8)),
        title=f"{brand} {kind.name.title()} {number}, {', '.join(trait.title() for trait in told)}",
        category=kind.category,
        query=kind.name,
        product_category=f"{kind.category.title()} › {kind.places}",
        description=f"The {kind.name} by {brand}. It is {_listed(traits)}.",
        features=tuple(f"{trait.capitalize()}: made so by {brand}" for trait in traits),
        options={name: _some(_words().choices[name], luck) for name in kind.choices},
        attributes=tuple(traits),
        price=price,
        price_tag=f"${price}",
        rating=str(round(luck.uniform(2.5, 5), 1)),
        reviews=tuple(
            Review(title=title, score=f"{luck.randint(2, 5)}.0", body=f"I have had this {kind.name} for a while.")
            for title in luck.sample(_words().said, luck.randint(0, 2))
        ),
    )


def _some(values: Sequence[str], luck: random.Random) -> tuple[str, ...]:
    """Some of the values, in their order."""
    kept = set(luck.sample(values, luck.randint(2, len(values))))
    return tuple(value for value in values if value in kept)


def _goal(product: Product, kind: _Type, luck: random.Random) -> Goal:
    traits = luck.sample(product.attributes, luck.randint(1, 2))
    options = {name: luck.choice(values) for name, values in product.options.items()}
    upper, words = price_bound(product.asin, product.price)
    asked = luck.choice(_words().asked).format(
        name=kind.name,
        traits=_listed(traits),
        options="".join(f", with {name} {value}" for name, value in options.items()),
    )
    return Goal(
        asin=product.asin,
        instruction=asked + words,
        attributes=tuple(traits),
        options=tuple(options.values()),
        price_upper=upper,
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
