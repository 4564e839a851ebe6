import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepagent.retrieval.fusion import LEXICAL_WEIGHT, TOOLSET_WEIGHT, fuse

ALONE = np.array([-1, -1])
"""Two tools of no toolset."""

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6))


def alone(scores: np.ndarray) -> np.ndarray:
    return np.full(scores.shape[1], -1)


@given(st.data(), SHAPES)
def test_scores_lie_between_zero_and_one(data: st.DataObject, shape: tuple[int, int]):
    dense = data.draw(arrays(np.float32, shape, elements=st.floats(-1, 1, width=32)))
    lexical = data.draw(arrays(np.float32, shape, elements=st.floats(0, 1000, width=32)))
    fused = fuse(dense, lexical, alone(dense))
    assert fused.shape == shape[1:]
    assert (fused >= 0).all()
    assert (fused <= 1 + 1e-5).all()


def test_a_tool_that_is_best_in_both_scores_one():
    assert fuse(np.float32([[0.6, 0.3]]), np.float32([[7, 1]]), ALONE)[0] == pytest.approx(1)


def test_the_weight_is_shared_between_words_and_meaning():
    fused = fuse(np.float32([[0.6, 0]]), np.float32([[0, 7]]), ALONE)
    assert fused == pytest.approx([1 - LEXICAL_WEIGHT, LEXICAL_WEIGHT])


def test_what_one_sentence_needs_is_found_beside_what_all_of_it_is_about():
    whole, first, second = [0.9, 0.5, 0.6], [0.9, 0.1, 0.1], [0.1, 0.9, 0.1]
    dense = np.float32([whole, first, second])
    unsplit, split = (fuse(dense[:rows], np.zeros((rows, 3), np.float32), alone(dense)) for rows in (1, 3))
    assert unsplit.argsort().tolist()[::-1] == [0, 2, 1]
    assert split.argsort().tolist()[::-1] == [0, 1, 2]


def test_without_any_likeness_all_scores_are_zero():
    assert fuse(np.float32([[-0.5, 0]]), np.float32([[0, 0]]), ALONE).tolist() == [0, 0]


def test_a_tool_gains_from_the_best_of_its_toolset():
    dense, lexical = np.float32([[0.8, 0.4, 0.4, 0.4]]), np.zeros((1, 4), np.float32)
    best, beside, elsewhere, nowhere = fuse(dense, lexical, np.array([0, 0, 1, -1]))
    share = 1 - LEXICAL_WEIGHT
    assert best == pytest.approx(share)
    assert beside == pytest.approx(share * (0.5 + TOOLSET_WEIGHT) / (1 + TOOLSET_WEIGHT))
    assert elsewhere == nowhere == pytest.approx(share * 0.5)


@given(st.data(), SHAPES)
def test_one_toolset_for_all_keeps_the_order(data: st.DataObject, shape: tuple[int, int]):
    dense = data.draw(arrays(np.float32, shape, elements=st.floats(-1, 1, width=16), unique=True))
    lexical = np.zeros(shape, np.float32)
    together = fuse(dense, lexical, np.zeros(shape[1], int))
    order = fuse(dense, lexical, alone(dense)).argsort(kind="stable")
    assert (np.diff(together[order]) >= -1e-6).all()
