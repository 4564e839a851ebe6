import random

import pytest

from deepagent.tools import ToolSpec
from deepagent.training.retriever.wishes import made_up, wish

SHOP = [
    ToolSpec(name="orders", description="Lists the orders of a customer. With sku and price.", toolset="shop"),
    ToolSpec(name="refund", description="Refund a payment.", toolset="shop"),
    ToolSpec(name="odd", description="", toolset="shop"),
    ToolSpec(name="rain", description="Tomorrow's rain for a city", toolset="weather"),
    ToolSpec(name="wind", description="Get the wind of today. In knots.", toolset="weather"),
]


@pytest.mark.parametrize("sentence", ["", "Orders", "word " * 30])
def test_what_is_too_short_or_too_long_gives_no_wish(sentence: str):
    assert wish(sentence, random.Random(0)) is None


def test_a_wish_keeps_what_the_tool_does():
    for seed in range(20):
        asked = wish("Lists the orders of a customer.", random.Random(seed))
        assert asked is not None
        assert "the orders of a customer" in asked
        assert "Lists" not in asked


def test_the_same_seed_makes_the_same_wishes():
    assert made_up(SHOP, 3) == made_up(list(SHOP), 3) != made_up(SHOP, 4)


def test_examples_hold_the_text_of_the_tool_that_serves_them():
    pools = made_up(SHOP, 0)
    examples = [example for pool in pools for example in pool.examples]
    assert all(example.golds for example in examples)
    assert all(not set(example.golds) & set(example.lookalikes) for example in examples)
    heads = {"shop orders", "shop refund", "weather rain", "weather wind"}
    assert {" ".join(text.split()[:2]) for example in examples for text in example.golds} <= heads


def test_a_large_toolset_does_not_drown_the_others():
    many = [
        ToolSpec(name=f"t{number}", description=f"Get the number {number} of it.", toolset="big")
        for number in range(500)
    ]
    (pool,) = made_up(many, 0)
    assert sum(len(example.golds) for example in pool.examples) <= 120
