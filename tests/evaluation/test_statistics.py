"""Statistics against values worked out by hand, and against what must hold for all numbers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepagent.evaluation import statistics
from deepagent.evaluation.statistics import Cluster, clustered, mean, paired, pass_at, sign_test


def of(*values, weight=1.0):
    return clustered([(str(number), float(value), weight) for number, value in enumerate(values)])


def test_episodes_of_one_task_are_added_up_with_their_weights():
    assert clustered([("a", 1, 1), ("a", 0, 3), ("b", 0.5, 2)]) == {
        "a": Cluster(total=1, weight=4),
        "b": Cluster(total=1, weight=2),
    }


def test_the_mean_is_weighted_and_counts_tasks():
    found = mean(clustered([("a", 1, 1), ("a", 0, 1), ("b", 1, 2)]))
    assert (found.mean, found.tasks) == (0.75, 2)
    assert mean({}) is None
    assert mean(of(1, 1, weight=0)) is None


def test_the_interval_is_that_of_a_binomial_share():
    found = mean(of(*[1] * 40, *[0] * 60))
    half = 1.96 * math.sqrt(0.4 * 0.6 / 100)
    assert (found.low, found.high) == pytest.approx((0.4 - half, 0.4 + half), abs=0.015)


def test_seeds_of_one_task_do_not_make_an_interval_narrower():
    once = mean(of(*[1] * 20, *[0] * 20))
    often = mean(clustered([(str(n), n % 2, 1) for n in range(40) for _ in range(10)]))
    assert often.high - often.low == pytest.approx(once.high - once.low, abs=0.03)


def test_it_is_the_same_every_time_and_another_with_another_seed():
    values = of(*np.linspace(0, 1, 30))
    assert mean(values) == mean(values)
    assert mean(values, seed=1) != mean(values, seed=2)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_interval_lies_within_the_values_and_holds_their_mean(values):
    found = mean(of(*values))
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found.mean == pytest.approx(sum(values) / len(values))
    if len(values) == 1:
        assert found.low == pytest.approx(found.high)


@pytest.mark.parametrize(
    ("k", "tries", "chance"),
    [
        (1, [(4, 1)], 0.25),
        (2, [(4, 1)], 0.5),
        (4, [(4, 1)], 1.0),
        (2, [(4, 0)], 0.0),
        (2, [(4, 3)], 1.0),
        (2, [(4, 1), (4, 4)], 0.75),
        (2, [(4, 1), (1, 1)], 0.5),  # what was tried once says nothing about two tries
        (5, [(4, 1)], None),
        (1, [], None),
    ],
)
def test_pass_at_k(k, tries, chance):
    assert pass_at(k, tries) == (None if chance is None else pytest.approx(chance))


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_all_choices_of_k_tries(made, data):
    solved, k = data.draw(st.integers(0, made)), data.draw(st.integers(1, made))
    outcomes = [number < solved for number in range(made)]
    choices = list(itertools.combinations(outcomes, k))
    assert pass_at(k, [(made, solved)]) == pytest.approx(sum(map(any, choices)) / len(choices))


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (8, 2, 112 / 1024), (3, 3, 1.0)]
)
def test_the_sign_test(better, worse, p):
    assert sign_test(better, worse) == pytest.approx(p)
    assert sign_test(worse, better) == pytest.approx(p)


def test_the_sign_test_goes_over_smoothly_into_its_approximation():
    assert sign_test(530, 469) == pytest.approx(sign_test(530, 470), rel=0.1)
    assert sign_test(100_000, 50_000) == 0


def test_two_evaluations_are_compared_on_the_tasks_that_both_have():
    first = clustered([("a", 0, 1), ("b", 0, 1), ("b", 1, 1), ("c", 1, 1), ("only here", 1, 1)])
    second = clustered([("a", 1, 1), ("b", 1, 1), ("c", 1, 1), ("only there", 0, 1)])
    found = paired(first, second)
    assert (found.tasks, found.first, found.second) == (3, 0.5, 1.0)
    assert (found.difference, found.better, found.worse) == (0.5, 2, 0)
    assert found.low <= 0.5 <= found.high
    assert paired(first, {}) is None


def test_a_difference_that_is_the_same_everywhere_has_no_spread():
    first, second = of(0, 0.5, 0.25), of(0.5, 1, 0.75)
    found = paired(first, second)
    assert (found.low, found.difference, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_pairs_tell_more_than_two_intervals():
    """The tasks differ much, the two evaluations little, but always in the same way."""
    generator = np.random.default_rng(1)
    base = generator.uniform(0, 0.8, 60)
    first, second = of(*base), of(*(base + 0.05))
    assert mean(second).low < mean(first).high, "the intervals overlap"
    assert paired(first, second).low > 0
    assert paired(first, second).p < 0.001


def test_a_hundred_thousand_episodes_take_no_longer_than_is_needed():
    clusters = of(*(number % 997 / 997 for number in range(100_000)))
    assert mean(clusters).tasks == 100_000
    assert statistics._LEAST_RESAMPLES >= 200
