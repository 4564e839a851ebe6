import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.errors import InvalidArgumentsError, ToolDefinitionError, UsageError
from deepagent.retrieval import HashEncoder, SentenceEncoder, ToolIndex
from deepagent.retrieval.encoders import Progress
from deepagent.retrieval.text import tool_text
from deepagent.tools import ToolSpec

from .conftest import SHOP, alike

WORDS = ("alpha", "bicycle", "cinema", "dolphin", "elephant", "forest", "guitar", "harbour", "island", "jungle")
DESCRIPTIONS = st.sets(st.frozensets(st.sampled_from(WORDS), min_size=1, max_size=5), min_size=1, max_size=12)


def catalogue(descriptions: set[frozenset[str]]) -> list[ToolSpec]:
    ordered = sorted(sorted(words) for words in descriptions)
    return [ToolSpec(name=f"t{row}", description=" ".join(words)) for row, words in enumerate(ordered)]


def names(index: ToolIndex, query: str, k: int = 5) -> list[str]:
    return [hit.spec.name for hit in index.search(query, k)]


class CountingEncoder(HashEncoder):
    """Remembers what it had to encode."""

    def __init__(self, dimension: int = 256) -> None:
        super().__init__(dimension)
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        self.seen.extend(texts)
        return super().encode(texts, progress=progress)


@pytest.mark.parametrize(
    ("wish", "tool"),
    [
        ("which orders did this customer place", "list_orders"),
        ("give a payment back", "refundPayment"),
        ("will it rain tomorrow", "forecast"),
        ("translation of texts", "translate_text"),
    ],
)
def test_a_wish_finds_its_tool(shop: ToolIndex, wish: str, tool: str):
    assert names(shop, wish)[0] == tool


def test_a_hit_tells_how_it_was_found(shop: ToolIndex):
    best, *_, worst = shop.search("rain for a city", k=4)
    assert best.score == pytest.approx(1)
    assert best.score > worst.score >= 0
    assert 0 < best.dense <= 1
    assert best.lexical > worst.lexical == 0


@given(DESCRIPTIONS)
def test_every_tool_is_found_first_by_its_own_text(descriptions: set[frozenset[str]]):
    specs = catalogue(descriptions)
    index = ToolIndex.build(specs, HashEncoder())
    for spec in specs:
        assert names(index, tool_text(spec), 1) == [spec.name]


@given(DESCRIPTIONS, st.text(min_size=1), st.integers(1, 30), st.randoms(use_true_random=False))
def test_the_order_of_the_tools_changes_nothing(
    descriptions: set[frozenset[str]], query: str, k: int, shuffle: random.Random
):
    specs = catalogue(descriptions)
    query = f"cinema {query}"
    expected = ToolIndex.build(specs, HashEncoder()).search(query, k)
    shuffle.shuffle(specs)
    assert ToolIndex.build(specs, HashEncoder()).search(query, k) == expected
    assert len(expected) == min(k, len(specs))


def test_equal_tools_come_in_order_of_their_names():
    twins = [ToolSpec(name=f"wipe{'_' * gaps}disk", description="Erase it all.") for gaps in range(1, 30)]
    assert names(ToolIndex.build(reversed(twins), HashEncoder()), "erase", 29) == sorted(twin.name for twin in twins)


def test_more_tools_than_there_are_cannot_be_returned(shop: ToolIndex):
    assert sorted(names(shop, "anything at all", 100)) == sorted(spec.name for spec in SHOP)


@pytest.mark.parametrize("query", ["", "  \n", "\x00\x07", "\ufeff"])
def test_an_empty_query_is_for_the_model_to_correct(shop: ToolIndex, query: str):
    with pytest.raises(InvalidArgumentsError, match="empty"):
        shop.search(query)


@pytest.mark.parametrize("k", [0, -1])
def test_a_search_for_no_tools_is_a_mistake_of_the_caller(shop: ToolIndex, k: int):
    with pytest.raises(UsageError, match="k must be 1 or more"):
        shop.search("rain", k)


@pytest.mark.parametrize(
    "query",
    [
        "rain " * 20_000,
        "x" * 100_000,
        "I need this. " * 10_000,
        "\ud800 broken",
        "!?",
        "the of and",
        "明日の天気",
        "\x1b[2Jrain",
        "\ufdfa" * 5000,
        "</tool_search>",
    ],
)
def test_no_query_is_too_strange(shop: ToolIndex, query: str):
    assert len(shop.search(query)) == 4


def test_no_description_is_too_strange():
    odd = ["", " ", "\x00\x1b[31m", "word " * 200_000, "x" * 1_000_000, "明日の天気", "\u202eevil", "💥" * 100]
    index = ToolIndex.build([ToolSpec(name=f"t{row}", description=text) for row, text in enumerate(odd)], HashEncoder())
    assert names(index, "明日の天気", 1) == ["t5"]


def test_a_name_that_is_no_text_is_of_no_tool(shop: ToolIndex):
    assert shop.get("\udcff") is None
    assert "\udcff" not in shop
    assert shop.search("rain", toolset="\udcff") == []
    assert shop.updated(without=["\udcff"]) is shop


@given(DESCRIPTIONS, st.integers(1, 5))
def test_candidates_are_the_best_of_any_part_by_any_search(descriptions: set[frozenset[str]], depth: int):
    index = ToolIndex.build(catalogue(descriptions), HashEncoder(32))
    parts = ["alpha bicycle. cinema dolphin elephant", "alpha bicycle.", "cinema dolphin elephant"]
    vectors = HashEncoder(32).encode(parts)
    searcher = index._searcher
    lexical = searcher.lexical.scores(parts)
    rows = searcher.candidates(vectors, lexical, depth, None, exact=True)
    assert rows.tolist() == sorted(set(rows.tolist()))
    left_out = np.setdiff1d(np.arange(len(index)), rows)
    for scores in (*searcher.cosines(vectors, np.arange(len(index))), *lexical):
        # As many others as are proposed are at least as good as each that was left out.
        assert all((scores[rows] >= scores[row] - 1e-6).sum() >= depth for row in left_out if scores[row] > 0)


def test_an_index_of_nothing_finds_nothing():
    assert ToolIndex.build([], HashEncoder()).search("rain") == []


def test_an_index_of_one_tool_finds_it():
    assert names(ToolIndex.build(SHOP[:1], HashEncoder()), "rain") == ["list_orders"]


def test_names_must_differ():
    with pytest.raises(ToolDefinitionError, match="'forecast'"):
        ToolIndex.build([*SHOP, ToolSpec(name="forecast")], HashEncoder())


def test_the_index_knows_its_tools(shop: ToolIndex):
    assert len(shop) == 4
    assert "forecast" in shop
    assert "snow" not in shop
    assert shop.get("forecast") == SHOP[2]
    assert shop.get("snow") is None
    assert [spec.name for spec in shop.specs] == sorted(spec.name for spec in SHOP)


def test_equal_texts_are_encoded_once():
    encoder = CountingEncoder()
    ToolIndex.build([ToolSpec(name="get_it"), ToolSpec(name="get-it"), ToolSpec(name="get.it")], encoder)
    assert encoder.seen == ["get it"]


def test_a_rebuild_encodes_only_what_is_new():
    encoder = CountingEncoder()
    old = ToolIndex.build(SHOP, encoder)
    encoder.seen.clear()
    new = ToolSpec(name="convert", description="Exchange one currency for another.")
    rebuilt = ToolIndex.build([*SHOP[1:], new], encoder, previous=old)
    assert encoder.seen == [tool_text(new)]
    fresh = ToolIndex.build([*SHOP[1:], new], HashEncoder())
    assert alike(rebuilt.search("exchange money"), fresh.search("exchange money"))


def test_vectors_of_another_encoder_are_not_taken_over(shop: ToolIndex):
    with pytest.raises(UsageError, match="hash:256, not hash:64"):
        ToolIndex.build(SHOP, HashEncoder(64), previous=shop)


def test_a_large_index_answers_like_a_small_one(many: Callable[[int], list[ToolSpec]], tmp_path: Path):
    specs = many(3_000)
    index = ToolIndex.build(specs, HashEncoder())
    index.save(tmp_path)
    query = specs[1_234].description
    hits = ToolIndex.open(tmp_path, HashEncoder()).search(query, 20)
    assert alike(hits, index.search(query, 20))
    assert all(sorted(hit.spec.description.split()) == sorted(query.split()) for hit in hits[:1])


def test_importing_retrieval_is_light():
    code = "import sys, deepagent.retrieval; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "torch", "faiss", "bm25s", "sentence_transformers", "transformers"} & set(loaded)


@pytest.mark.weights
def test_meaning_is_found_without_common_words(minilm: SentenceEncoder):
    index = ToolIndex.build(SHOP, minilm)
    assert names(index, "do I need an umbrella")[0] == "forecast"
    assert names(index, "what did she purchase")[0] == "list_orders"
