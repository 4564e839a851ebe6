"""The reward of a purchase: attributes, options, price and type, as in the paper (arXiv 2207.01206, section 3 and
appendix A) and the original's `engine/goal.py`.

    reward = r_type * (attributes met + options met + price met) / (attributes + options + 1)

Two rewards are computed. The original counts, of the options, those that were *chosen* and fit: two choices that fit
one wanted option count twice, so that a reward can exceed 1, and a choice that nobody wanted counts when its name
stands anywhere in the product's text. The corrected reward counts the options that were *wanted* and chosen.

One part differs from the original in both: which words of a title are nouns is there found by a large spaCy model, and
here by leaving out words of closed lists. It decides only whether the product is of the wanted type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deepagent.errors import UsageError
from deepagent.toolsets.webshop.catalogue import Goal, Product

_ALIKE = 85
_EXACT = ("size",)
_COLOUR_WORDS = """
    alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
    caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
    dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo
    ivory ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor
    mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand
    sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
    wheat white wine yellow
"""
_OTHER_WORDS = """
    a an and as at by for from in into is it its of on or per the to up with without your our you all any each
    new best great good perfect easy free long short small large big mini extra high low soft hard slim regular fit
    non natural organic premium professional portable lightweight adjustable durable waterproof wireless handmade
    x cm mm ml oz inch inches ft lb lbs
"""
_COLOURS = tuple(_COLOUR_WORDS.split())
_NO_NOUNS = frozenset((*_COLOURS, *_OTHER_WORDS.split()))


@dataclass(frozen=True)
class Reward:
    """How good a purchase is, from 0 to 1 (`published` can exceed 1)."""

    published: float
    corrected: float


NOTHING = Reward(0.0, 0.0)
"""Nothing was bought."""


def reward(product: Product, wanted: Product, goal: Goal, chosen: Mapping[str, str]) -> Reward:
    """Judge a purchase.

    Args:
        product: what was bought.
        wanted: the product that the goal was written for.
        goal: what was to be bought.
        chosen: the options that were chosen, by what they choose.
    """
    count = len(goal.attributes) + len(goal.options) + 1
    rest = _attributes_met(product, goal) + (product.price <= goal.price_upper)
    kind = type_reward(product, wanted)
    return Reward(
        published=kind * (rest + _choices_that_fit(product, goal, chosen)) / count,
        corrected=kind * (rest + _options_met(goal, chosen)) / count,
    )


def type_reward(product: Product, wanted: Product) -> float:
    """Whether it is the kind of product that was wanted: 1, 0.5, 0.1 or 0."""
    nouns = set(_nouns(wanted.title))
    title = len(nouns & set(_nouns(product.title))) / len(nouns) if nouns else 0.2
    if title == 0:
        return 0.0
    if title < 0.1:
        return 0.1
    same = product.query == wanted.query or len(_places(product) & _places(wanted)) >= 2
    return 1.0 if same or title > 0.2 else 0.5


def _nouns(title: str) -> list[str]:
    return [word for word in re.findall(r"[a-z]+", title.lower()) if word not in _NO_NOUNS]


def _places(product: Product) -> set[str]:
    return {place.strip() for place in product.product_category.split("›")}


def _attributes_met(product: Product, goal: Goal) -> int:
    return sum(
        any(_alike(own, attribute) for own in product.attributes) or _says(product, attribute)
        for attribute in goal.attributes
    )


def _choices_that_fit(product: Product, goal: Goal, chosen: Mapping[str, str]) -> int:
    """As published: counts choices, not what was wanted."""
    return sum(_meets(name, value, goal.options) or _says(product, _colour(value)) for name, value in chosen.items())


def _options_met(goal: Goal, chosen: Mapping[str, str]) -> int:
    return sum(any(_meets(name, value, [option]) for name, value in chosen.items()) for option in goal.options)


def _meets(name: str, value: str, options: Iterable[str]) -> bool:
    """Whether a choice is one of the options: sizes exactly, all else alike."""
    wanted = [_colour(option) for option in options]
    if name.lower() in _EXACT:
        return _colour(value) in wanted
    return any(_alike(option, _colour(value)) for option in wanted)


def _says(product: Product, words: str) -> bool:
    return any(words in text.lower() for text in (product.title, " ".join(product.features), product.description))


def _colour(value: str) -> str:
    """A colour's plain name, where there is one in the value: `dark red 2` is `dark`."""
    return next((colour for colour in _COLOURS if colour in value), value)


def check_installed() -> None:
    """Make sure that rewards can be computed: inside a run it would be too late to say so.

    Raises:
        UsageError: a package is missing.
    """
    try:
        import rapidfuzz  # noqa: F401
    except ImportError as error:
        raise UsageError("WebShop's reward needs rapidfuzz; pip install 'deepagent[benchmarks]'") from error


def _alike(one: str, other: str) -> bool:
    from rapidfuzz import fuzz, utils

    likeness: float = fuzz.token_set_ratio(one, other, processor=utils.default_process)
    return round(likeness) > _ALIKE
