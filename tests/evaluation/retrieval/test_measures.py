import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.evaluation.retrieval.measures import mean, measure

TOOLS = [f"t{number}" for number in range(30)]


def test_a_ranking_that_begins_with_all_gold_tools_is_perfect():
    measured = measure(["a", "b", "c"], {"a", "b"})
    assert measured.recall == {1: 0.5, 5: 1, 10: 1, 20: 1}
    assert (measured.ndcg_10, measured.mrr, measured.complete_10) == (1, 1, 1)


def test_one_of_two_gold_tools_in_the_third_place():
    measured = measure(["x", "y", "a"], {"a", "b"})
    assert measured.recall[5] == 0.5
    assert measured.ndcg_10 == pytest.approx((1 / math.log2(4)) / (1 + 1 / math.log2(3)))
    assert measured.mrr == pytest.approx(1 / 3)
    assert measured.complete_10 == 0


def test_what_comes_after_the_tenth_place_counts_for_recall_at_20_alone():
    measured = measure(TOOLS[:15], {TOOLS[12]})
    assert measured.recall == {1: 0, 5: 0, 10: 0, 20: 1}
    assert (measured.ndcg_10, measured.complete_10) == (0, 0)
    assert measured.mrr == pytest.approx(1 / 13)


def test_more_gold_tools_than_ten_places_can_still_be_ranked_perfectly():
    assert measure(TOOLS[:10], set(TOOLS[:12])).ndcg_10 == 1


@given(st.permutations(TOOLS), st.sets(st.sampled_from(TOOLS), min_size=1))
def test_measures_are_shares_and_recall_grows_with_depth(ranked: list[str], gold: set[str]):
    measured = measure(ranked, gold)
    assert list(measured.recall.values()) == sorted(measured.recall.values())
    assert all(0 <= value <= 1 for value in (*measured.recall.values(), measured.ndcg_10, measured.mrr))


def test_means_count_each_query_once():
    perfect, empty = measure(["a"], {"a"}), measure(["x"], {"a"})
    both = mean([perfect, empty])
    assert (both.queries, both.mrr, both.recall[1]) == (2, 0.5, 0.5)
    assert mean([both, perfect]).mrr == pytest.approx(2 / 3)
