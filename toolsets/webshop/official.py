"""The original's item files as a shop.

They are not shipped; https://github.com/princeton-nlp/WebShop says where they are (`items_shuffle.json` and the like).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from deepagent.errors import UsageError
from deepagent.toolsets.webshop.catalogue import Goal, Product, Review, Shop, price_bound

_NO_PRICE = 100.0
_SHUFFLE = 233
_LONGEST_ASIN = 10


class Files(BaseModel):
    """Where the original's files are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: Path
    """`items_shuffle.json`, or its first thousand."""
    attributes: Path
    """`items_ins_v2.json`."""
    instructions: Path
    """`items_human_ins.json`: instructions written by people."""
    reviews: Path | None = None
    """`reviews.json`; without it no product has any."""


def load(files: Files) -> Shop:
    """The shop of the files, with the goals that people wrote, in the original's order.

    Raises:
        UsageError: a file is missing or is not what it should be.
    """
    attributes, instructions = _read(files.attributes), _read(files.instructions)
    reviews = {one["asin"]: one for one in _read(files.reviews)} if files.reviews else {}
    products: dict[str, Product] = {}
    goals: list[Goal] = []
    try:
        for item in _read(files.items):
            asin = item["asin"]
            if asin == "nan" or len(asin) > _LONGEST_ASIN or asin in products:
                continue
            products[asin] = _product(item, attributes.get(asin, {}), reviews.get(asin, {}))
            goals += _goals(products[asin], instructions.get(asin, ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UsageError(f"{files.items} and the files beside it are not WebShop's item files ({problem})") from error
    random.Random(_SHUFFLE).shuffle(goals)  # noqa: S311 # the original's order
    return Shop(list(products.values()), goals)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); give WebShop's item files") from error


def _product(item: dict[str, Any], known: dict[str, Any], reviewed: dict[str, Any]) -> Product:
    asin, features = item["asin"], item["small_description"]
    price, tag = _price(asin, item.get("pricing") or "")
    return Product(
        asin=asin,
        title=item["name"],
        category=item["category"],
        query=item["query"].lower().strip(),
        product_category=item["product_category"],
        description=item["full_description"] or "",
        features=tuple(features) if isinstance(features, list) else (str(features),),
        options=_options(item.get("customization_options") or {}),
        attributes=tuple(known.get("attributes", ())),
        price=price,
        price_tag=tag,
        rating=str(reviewed.get("average_rating", "N.A.")),
        reviews=tuple(_review(one) for one in reviewed.get("reviews", ())),
    )


def _options(given: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        name.lower(): tuple(one["value"].strip().replace("/", " | ").lower() for one in values)
        for name, values in given.items()
        if values is not None
    }


def _review(given: dict[str, Any]) -> Review:
    score = given.get("score", given.get("stars", ""))
    return Review(title=str(given.get("title", "")), score=str(score), body=str(given.get("review", "")))


def _price(asin: str, text: str) -> tuple[float, str]:
    """A price and how it is shown; of a range, one price in it that is always the same."""
    prices = [float(re.sub(r"[^\d.]", "", part)) for part in text.split("$")[1:]]
    if not prices:
        return _NO_PRICE, f"${_NO_PRICE}"
    if len(prices) == 1:
        return prices[0], f"${prices[0]}"
    low, high = prices[:2]
    return random.Random(f"price {asin}").uniform(low, high), f"${low} to ${high}"  # noqa: S311 # nothing secret


def _goals(product: Product, written: Any) -> Iterator[Goal]:
    upper, words = price_bound(product.asin, product.price)
    for one in written:
        if attributes := tuple(one["instruction_attributes"]):
            wanted = one["instruction_options"]
            yield Goal(
                asin=product.asin,
                instruction=one["instruction"].strip(".") + words,
                attributes=attributes,
                options=tuple(wanted.values() if isinstance(wanted, dict) else wanted),
                price_upper=upper,
            )
