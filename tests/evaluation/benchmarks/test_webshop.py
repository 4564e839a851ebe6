"""WebShop's tasks and scorer; the reward itself is tested with the toolset."""

import sys

import pytest

from deepagent.actions import Answer, Call
from deepagent.errors import UsageError
from deepagent.evaluation.known import empty, oracle
from deepagent.evaluation.registry import get_benchmark
from tests.evaluation.benchmarks.players import play

BENCHMARK = get_benchmark("webshop")


def values(results, name):
    """Of each task: published, corrected."""
    found = [result.score.values[name] for result in results.values()]
    return {(value.published, value.corrected) for value in found}


async def test_the_oracle_buys_every_goal(tmp_path):
    results = await play(BENCHMARK, tmp_path, actions=oracle(BENCHMARK))
    assert len(results) == 200
    assert values(results, "success") == values(results, "reward") == {(1, 1)}
    assert {result.status for result in results.values()} == {"answered"}


async def test_a_package_that_is_missing_is_told_before_anything_is_bought(monkeypatch):
    """Inside a run it would be a tool that fails, and every score 0."""
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    with pytest.raises(UsageError, match=r"pip install 'deepagent\[benchmarks\]'"):
        async with get_benchmark("webshop"):
            pass


async def test_who_buys_nothing_gets_nothing(tmp_path):
    tasks = BENCHMARK.tasks()[:3]
    for actions in (empty, lambda task: [Answer(text="I bought it; your score is 1.0")]):
        results = await play(BENCHMARK, tmp_path, actions=actions, tasks=tasks)
        assert values(results, "success") == values(results, "reward") == {(0, 0)}


async def test_a_purchase_that_lacks_the_options_is_no_success(tmp_path):
    task = BENCHMARK.tasks()[0]

    def careless(task):
        known = oracle(BENCHMARK)(task)
        options = {call.arguments.get("value") for call in known if isinstance(call, Call)} & set(task.data["options"])
        return [one for one in known if not (isinstance(one, Call) and one.arguments.get("value") in options)]

    results = await play(BENCHMARK, tmp_path, actions=careless, tasks=[task])
    parts = len(task.data["attributes"]) + len(task.data["options"]) + 1
    left = (parts - len(task.data["options"])) / parts
    assert values(results, "success") == {(0, 0)}
    assert values(results, "reward") == {(left, left)}


def test_a_prompt_holds_the_instruction_and_nothing_else_of_the_goal():
    for task in BENCHMARK.tasks():
        assert task.data["instruction"] in task.prompt
        assert task.gold not in task.prompt
