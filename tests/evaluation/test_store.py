"""The store of results: one row for every episode, whatever happens."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent.errors import StoreError, UsageError
from deepagent.evaluation.base import Verdict
from deepagent.evaluation.store import ResultStore
from tests.evaluation.support import evaluation, result


@pytest.fixture
def store(tmp_path):
    with ResultStore(tmp_path / "deep" / "results.sqlite") as opened:
        opened.begin(evaluation())
        yield opened


def test_a_result_comes_back_as_it_was(store):
    verdict = Verdict(by="m", prompt="?", said="yes", choice="yes")
    assert store.add("sums-1", result(tags={"level": "1"}, verdicts=(verdict,)))
    (found,) = store.results("sums-1")
    assert found == result(tags={"level": "1"})
    assert list(store.verdicts("sums-1")) == [("a", 0, (verdict,))]


def test_an_episode_counts_once_however_often_it_is_done(store):
    assert store.add("sums-1", result(answer="first"))
    assert not store.add("sums-1", result(answer="second"))
    assert store.add("sums-1", result(seed=1))
    assert [(one.seed, one.answer) for one in store.results("sums-1")] == [(0, "first"), (1, "1")]


def test_only_what_failed_is_replaced_and_run_again(store):
    assert store.add("sums-1", result(status="failed", right=0.0))
    assert store.settled("sums-1") == set()
    assert store.add("sums-1", result())
    assert store.settled("sums-1") == {("a", 0)}
    assert not store.add("sums-1", result(status="failed", right=0.0))
    assert [one.status for one in store.results("sums-1")] == ["answered"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans()), max_size=30))
def test_whatever_is_added_each_episode_has_one_result_and_a_good_one_stays(tmp_path_factory, added):
    with ResultStore(tmp_path_factory.mktemp("store") / "results.sqlite") as store:
        good = {}
        for number, (task, seed, fine) in enumerate(added):
            store.add("sums-1", result(task, seed, answer=str(number), status="answered" if fine else "failed"))
            if fine:
                good.setdefault((task, seed), str(number))
        found = {(one.task, one.seed): one for one in store.results("sums-1")}
        assert set(found) == {(task, seed) for task, seed, _ in added}
        assert len(store.results("sums-1")) == len(found)
        assert store.settled("sums-1") == set(good)
        assert {key: found[key].answer for key in good} == good


def test_evaluations_are_found_by_id_beginning_and_age(store):
    store.begin(evaluation("sums-2").model_copy(update={"at": 5.0}))
    store.add("sums-2", result())
    assert [(one.id, count) for one, count in store.evaluations()] == [("sums-2", 1), ("sums-1", 0)]
    assert store.get("last").id == "sums-2"
    assert store.get("sums-1").id == "sums-1"
    for name, words in (
        ("sums", "2 evaluations begin like that"),
        ("other", "no evaluation is"),
        ("", "no evaluation is"),
    ):
        with pytest.raises(UsageError, match=words):
            store.get(name)


def test_what_two_processes_write_is_all_there(store):
    with ResultStore(store.path) as other:
        assert other.add("sums-1", result(task="b"))
        assert store.add("sums-1", result(task="a"))
        assert not other.add("sums-1", result(task="a"))
    assert [one.task for one in store.results("sums-1")] == ["a", "b"]


def read(path: Path) -> None:
    """Read all that there is, in every way."""
    with ResultStore(path) as store:
        for one, _ in store.evaluations():
            store.results(one.id)
            list(store.verdicts(one.id))
            store.settled(one.id)
            store.newest(one.setup.hash)
        store.newest(evaluation().setup.hash)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    """A file with results and verdicts."""
    path = tmp_path_factory.mktemp("whole") / "results.sqlite"
    with ResultStore(path) as store:
        store.begin(evaluation())
        verdict = Verdict(by="m", prompt="?" * 50, said="yes", choice="yes")
        for seed in range(20):
            store.add("sums-1", result(seed=seed, verdicts=(verdict,) * 5))
    return path.read_bytes()


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_byte_that_is_changed_anywhere_is_told_or_does_no_harm(whole, tmp_path, share, flip):
    path = tmp_path / "flip.sqlite"
    for leftover in tmp_path.glob("flip.sqlite*"):
        leftover.unlink()
    data = bytearray(whole)
    data[int(share * len(data))] ^= flip
    path.write_bytes(data)
    with contextlib.suppress(StoreError):
        read(path)


@pytest.mark.parametrize("column", ["results.body", "results.verdicts", "evaluations.body"])
@pytest.mark.parametrize("value", ["'{}'", "x'ff'", "CAST(x'5b22ff225d' AS TEXT)"])
def test_a_row_that_was_changed_by_hand_is_told(store, column, value):
    store.add("sums-1", result(verdicts=(Verdict(by="m", prompt="?", said="yes", choice="yes"),)))
    table, name = column.split(".")
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as raw:
        raw.execute(f"UPDATE {table} SET {name} = {value}")
    reading = {
        "results.body": lambda: store.results("sums-1"),
        "results.verdicts": lambda: list(store.verdicts("sums-1")),
        "evaluations.body": lambda: store.newest(evaluation().setup.hash),
    }
    with pytest.raises(StoreError, match=str(store.path)):
        reading[column]()
