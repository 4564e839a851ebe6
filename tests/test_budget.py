"""A budget says in words which limit is reached."""

import pytest

from deepagent.budget import Budget, Limits


def test_nothing_is_exhausted_at_the_start():
    assert Budget(Limits()).exhausted() is None


@pytest.mark.parametrize("what", ["actions", "tokens"])
def test_a_count_that_reaches_its_limit_is_named(what):
    budget = Budget(Limits(**{what: 2}))
    setattr(budget, what, 2)
    assert budget.exhausted() == f"the limit of 2 {what} is reached"


def test_time_is_measured_by_the_clock():
    now = [100.0]
    budget = Budget(Limits(seconds=5), clock=lambda: now[0])
    assert budget.seconds_left == 5
    now[0] = 105.5
    assert budget.seconds_left == 0
    assert budget.exhausted() == "the limit of 5 seconds is reached"


def test_no_limit_means_no_limit():
    budget = Budget(Limits(actions=None, folds=None))
    budget.actions = budget.folds = 10**6
    assert budget.exhausted() is None
    assert budget.may_fold
    assert budget.seconds_left is None


def test_folds_are_refused_at_their_limit():
    budget = Budget(Limits(folds=1))
    assert budget.may_fold
    budget.folds = 1
    assert not budget.may_fold
