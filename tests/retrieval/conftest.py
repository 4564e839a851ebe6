import random
from collections.abc import Callable
from pathlib import Path

import pytest

from deepagent.errors import WeightsError
from deepagent.models import weights
from deepagent.retrieval import HashEncoder, Hit, SentenceEncoder, ToolIndex
from deepagent.tools import ToolSpec

SHOP = (
    ToolSpec(name="list_orders", description="Orders of one customer, with sku and price.", toolset="shop"),
    ToolSpec(name="refundPayment", description="Give the money of a payment back.", toolset="shop"),
    ToolSpec(name="forecast", description="Tomorrow's temperature and rain for a city.", toolset="weather"),
    ToolSpec(name="translate_text", description="Translate a text into another language.", toolset="language"),
)


def alike(some: list[Hit], others: list[Hit]) -> bool:
    """Whether two searches found the same, but for the last bits of products."""
    return [hit.spec for hit in some] == [hit.spec for hit in others] and all(
        (one.score, one.dense, one.lexical) == pytest.approx((other.score, other.dense, other.lexical), abs=1e-5)
        for one, other in zip(some, others, strict=True)
    )


@pytest.fixture
def shop() -> ToolIndex:
    return ToolIndex.build(SHOP, HashEncoder())


@pytest.fixture
def many() -> Callable[[int], list[ToolSpec]]:
    """Makes a catalogue of any size out of a small vocabulary, always the same."""

    def make(count: int) -> list[ToolSpec]:
        draw = random.Random(count)
        vocabulary = [
            f"{first}{second}" for first in ("lo", "mi", "ra", "su") for second in ("tek", "pon", "dal", "vin")
        ]
        return [
            ToolSpec(name=f"tool{number}", description=" ".join(draw.sample(vocabulary, 6))) for number in range(count)
        ]

    return make


@pytest.fixture(scope="session")
def minilm() -> SentenceEncoder:
    try:
        folder: Path = weights.path("all-minilm-l6-v2")
    except WeightsError as error:
        pytest.skip(f"no MiniLM here: {error}")
    return SentenceEncoder(folder)
