"""Every task is in one half for ever, and what is chosen of a half is the same every time."""

import pytest

from benchmarks.success.sets import HALVES, SETS, chosen, half_of
from deepagent.evaluation import registry


def tasks(name):
    return registry.get_benchmark(name, mode=SETS[name].mode).tasks()


@pytest.mark.parametrize(("name", "count"), [("m3tooleval", 82), ("toolhop", 50), ("api_bank", 100), ("trail", 40)])
def test_the_halves_are_the_whole_and_nothing_twice(name, count):
    working, reporting = (chosen(tasks(name), SETS[name], half) for half in HALVES)
    ids = [task.id for task in (*working, *reporting)]
    assert len(ids) == len(set(ids)) == count
    assert min(len(working), len(reporting)) > count / 3


def test_a_task_stays_in_its_half():
    assert half_of("m3tooleval", "message_decoder/longest_decoded_string") == "reporting"
    assert half_of("m3tooleval", "trade_calculator/estimate_final_value") == "working"


def test_few_tasks_are_of_all_families_and_stand_together_by_family():
    few = chosen(tasks("m3tooleval"), SETS["m3tooleval"], "working", limit=10)
    families = [task.tags["family"] for task in few]
    assert families == sorted(families)
    assert {families.count(one) for one in families} == {2}
