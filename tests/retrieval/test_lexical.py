import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.retrieval.lexical import LexicalIndex, Postings
from deepagent.retrieval.text import words

TEXTS = st.lists(
    st.lists(st.sampled_from(["cat", "dog", "cow", "hen", "fox", "the"]), max_size=8).map(" ".join), max_size=8
)


def test_a_rare_word_outweighs_a_common_one():
    scores = LexicalIndex.of(["weather city", "weather today", "tax city", "weather map"]).scores(["tax weather"])[0]
    assert scores.argmax() == 2


@given(
    TEXTS.filter(lambda texts: any(words(text) for text in texts)),
    st.lists(st.sampled_from(["cat", "dog", "cow", "emu"])),
)
def test_scores_are_those_of_a_published_implementation(texts: list[str], query: list[str]):
    oracle = bm25s.BM25()
    oracle.index([words(text) for text in texts], show_progress=False)
    known = [word for word in words(" ".join(query)) if word in oracle.vocab_dict]
    expected = oracle.get_scores(known) if known else np.zeros(len(texts))
    assert LexicalIndex.of(texts).scores([" ".join(query)])[0] == pytest.approx(expected, abs=1e-5)


@given(TEXTS, TEXTS, st.data())
def test_parts_and_removals_score_like_one_index(first: list[str], second: list[str], data: st.DataObject):
    alive = np.array([data.draw(st.booleans()) for _ in (*first, *second)], bool)
    grown = LexicalIndex([Postings.of(first), Postings.of(second)], alive)
    fresh = LexicalIndex.of([text for text, kept in zip([*first, *second], alive, strict=True) if kept])
    queries = ["cat dog", "hen hen fox"]
    assert grown.scores(queries)[:, alive] == pytest.approx(fresh.scores(queries), abs=1e-6)
    assert not grown.scores(queries)[:, ~alive].any()


@pytest.mark.parametrize("texts", [["one"], [""], ["", "one two"], ["the of and"], []])
@pytest.mark.parametrize("query", ["one", "unknown", "", "the", "!?"])
def test_no_text_and_no_query_is_too_small(texts: list[str], query: str):
    scores = LexicalIndex.of(texts).scores([query])
    assert scores.shape == (1, len(texts))
    assert (scores >= 0).all()


def test_tools_without_the_words_score_zero():
    assert LexicalIndex.of(["orders", "rain"]).scores(["rain", "snow"]).tolist()[1] == [0, 0]


def test_a_word_may_occur_more_often_than_a_count_can_say():
    assert LexicalIndex.of(["rain " * 70_000, "rain"]).scores(["rain"]).min() > 0
