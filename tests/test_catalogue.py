"""All tools of an agent: the index behind them is built once, and again where that failed."""

import asyncio
import threading

import pytest

from deepagent import tool
from deepagent.catalogue import Catalogue
from deepagent.errors import WeightsError
from deepagent.retrieval import HashEncoder


@tool(effect="pure")
def price(item: str) -> int:
    """Price of an item."""
    return len(item)


def test_a_search_that_was_broken_off_can_be_repeated_in_the_next_run():
    begun, go_on = threading.Event(), threading.Event()

    def encoder() -> HashEncoder:
        begun.set()
        go_on.wait()
        return HashEncoder()

    catalogue = Catalogue([price], encoder=encoder)

    async def broken_off() -> None:
        searching = asyncio.create_task(catalogue.search("price", 1))
        await asyncio.to_thread(begun.wait)
        searching.cancel()

    asyncio.run(broken_off())  # its end cancels the building too, as Ctrl-C does
    go_on.set()
    (hit,) = asyncio.run(catalogue.search("price", 1))
    assert hit.spec.name == "price"


async def test_building_that_failed_is_tried_again():
    missing = True

    def encoder() -> HashEncoder:
        if missing:
            raise WeightsError("no weights")
        return HashEncoder()

    catalogue = Catalogue([price], encoder=encoder)
    with pytest.raises(WeightsError):
        await catalogue.search("price", 1)
    missing = False
    assert len(await catalogue.search("price", 1)) == 1
