"""What can be tested of the Ray executor without Ray; the rest is `make test-ray`."""

import sys

import pytest

from deepagent.errors import UsageError
from deepagent.evaluation.ray_executor import RayExecutor, _Work
from tests.evaluation.support import Sums

FIRST, SECOND = Sums("1", "2").tasks()


def test_work_is_given_out_in_order_and_what_was_lost_comes_first():
    work = _Work([(FIRST, 0), (SECOND, 0)])
    lost = work.next()
    assert lost == (FIRST, 0)
    assert work.again(lost)
    assert work.deaths(lost) == 1
    assert not work.empty
    assert [work.next(), work.next(), work.next()] == [(FIRST, 0), (SECOND, 0), None]
    assert work.empty


def test_an_episode_that_loses_its_actor_too_often_is_given_up():
    work = _Work([(FIRST, 0)])
    lost = work.next()
    assert [work.again(lost), work.again(lost), work.again(lost)] == [True, True, False]
    assert work.deaths((SECOND, 0)) == 0


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'deepagent\[ray\]'"):
        RayExecutor(None, None, None, concurrency=1)
