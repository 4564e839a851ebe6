"""What the log knows, within limits."""

from hypothesis import given
from hypothesis import strategies as st

from deepagent.memory.ledger import cite, gist, line, select
from deepagent.memory.schema import LedgerEntry


def entry(step: int, **changes) -> LedgerEntry:
    told = {"step": step, "action": f"call f({step})", "result": "r" * 200, "brief": "r", "ok": True}
    return LedgerEntry(**(told | changes))


def test_the_newest_are_kept_as_they_are():
    kept = select([entry(n) for n in range(100)], 3000)
    assert kept[-1] == entry(99)
    assert [one.step for one in kept] == sorted(one.step for one in kept)


def test_then_the_most_cited_then_those_that_the_task_is_about():
    ledger = [entry(n) for n in range(100)]
    ledger[3] = entry(3, about=4)
    ledger = cite(ledger, [7, 7, 5])
    older = [one.step for one in select(ledger, 1000)][:3]
    assert older == [3, 5, 7]


def test_old_entries_are_brief():
    kept = select([entry(n) for n in range(100)], 3000)
    assert len(kept[0].result) < len(kept[-1].result)


@given(st.lists(st.tuples(st.text(max_size=300), st.integers(0, 3)), max_size=60), st.integers(0, 5000))
def test_a_selection_keeps_to_its_limit_and_invents_nothing(told, limit):
    ledger = [entry(number, result=result, cited=cited) for number, (result, cited) in enumerate(told)]
    kept = select(ledger, limit)
    assert sum(len(line(one).encode()) + 1 for one in kept) <= limit
    assert {one.step for one in kept} <= {one.step for one in ledger}
    assert select(kept, limit) == kept


def test_a_long_result_is_told_by_what_the_task_is_about():
    filler = "The corridor was quiet and dusty. " * 20
    text = f"{filler}The access code of the depot is 7319. {filler}"
    assert "The access code of the depot is 7319." in gist(text, 120, frozenset({"acces", "cod"}))
    assert "7319" in gist(text, 120, frozenset())


@given(st.text(), st.integers(10, 300))
def test_a_gist_keeps_to_its_limit(text, limit):
    assert len(gist(text, limit, frozenset())) <= limit
