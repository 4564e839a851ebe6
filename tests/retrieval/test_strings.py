import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.retrieval.strings import Strings


@given(st.lists(st.binary(max_size=5)))
def test_strings_come_back_in_their_order(given: list[bytes]):
    strings = Strings.of(given)
    assert list(strings) == given
    assert len(strings) == len(given)


@given(st.sets(st.binary(max_size=3)), st.binary(max_size=3))
def test_a_string_is_found_where_it_is(given: set[bytes], wanted: bytes):
    ordered = sorted(given)
    assert Strings.of(ordered).find(wanted) == (ordered.index(wanted) if wanted in given else None)


def test_there_is_nothing_past_the_end():
    with pytest.raises(IndexError):
        Strings.of([b"one"])[1]


@pytest.mark.parametrize("ends", [[2], [4], [2, 1, 3], [-1, 3]])
def test_ends_that_do_not_fit_are_refused(ends: list[int]):
    with pytest.raises(ValueError, match="do not fit"):
        Strings(np.frombuffer(b"abc", np.uint8), np.array(ends, np.int64)).check()
