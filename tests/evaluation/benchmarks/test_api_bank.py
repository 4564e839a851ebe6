"""API-Bank's tasks and scorer."""

import pytest

from deepagent.evaluation.known import empty, oracle
from deepagent.evaluation.registry import get_benchmark
from tests.evaluation.benchmarks.players import episode, play

BENCHMARK = get_benchmark("api_bank")
TASK = next(
    task for task in BENCHMARK.tasks() if [one["name"] for one in task.data["gold"]] == ["GetUserToken", "AddAgenda"]
)
TOKEN, AGENDA = ((one["name"], one["arguments"], "x", True) for one in TASK.data["gold"])


async def values(*calls, task=TASK):
    """By metric: published, corrected."""
    score = await BENCHMARK.score(episode(task, "Done.", calls), None)
    return {name: (value.published, value.corrected) for name, value in score.values.items()}


def changed(call, **arguments):
    return (call[0], call[1] | arguments, *call[2:])


@pytest.mark.parametrize(("name", "tasks", "gold"), [("api_bank", 112, 141), ("api_bank_3", 50, 131)])
async def test_the_oracle_makes_every_recorded_call(name, tasks, gold, tmp_path):
    benchmark = get_benchmark(name)
    results = await play(benchmark, tmp_path, actions=oracle(benchmark))
    assert len(results) == tasks
    for result in results.values():
        assert {(value.published, value.corrected) for value in result.score.values.values()} == {(1, 1)}
    assert sum(result.score.values["path"].weight for result in results.values()) == gold


async def test_who_calls_nothing_gets_nothing(tmp_path):
    results = await play(BENCHMARK, tmp_path, actions=empty, tasks=BENCHMARK.tasks()[:2])
    for result in results.values():
        assert {(value.published, value.corrected) for value in result.score.values.values()} == {(0, 0)}


async def test_the_order_does_not_count_and_other_calls_do_not_hurt():
    assert await values(AGENDA, ("GetToday", {}, "x", True), TOKEN) == {"success": (1, 1), "path": (1, 1)}


async def test_a_part_of_the_calls_is_a_part_of_the_path():
    assert await values(TOKEN) == {"success": (0, 0), "path": (0.5, 0.5)}


async def test_arguments_are_equal_to_the_letter_only_as_published():
    assert await values(TOKEN, changed(AGENDA, content=f" {AGENDA[1]['content'].upper()} ")) == {
        "success": (0, 1),
        "path": (0.5, 1),
    }
    assert (await values(TOKEN, changed(AGENDA, content="Something else")))["path"] == (0.5, 0.5)
    assert (await values(TOKEN, changed(AGENDA, more="x")))["path"] == (0.5, 0.5)


async def test_one_call_stands_for_one_recorded_call():
    twice = TASK.model_copy(update={"data": {"gold": [TASK.data["gold"][0]] * 2}})
    assert (await values(TOKEN, task=twice))["path"] == (0.5, 0.5)
    assert (await values(TOKEN, TOKEN, task=twice))["path"] == (1, 1)


def test_every_task_has_a_call_and_labelled_ones_offer_their_tools():
    for name in ("api_bank", "api_bank_3"):
        assert all(task.data["gold"] for task in get_benchmark(name).tasks())
    assert get_benchmark("api_bank").offered(TASK) == ["GetUserToken", "AddAgenda"]
    assert get_benchmark("api_bank", mode="open-set").offered(TASK) is None


def test_a_dialogue_ends_with_the_user_and_shows_no_call():
    for task in BENCHMARK.tasks():
        assert "User: " in task.prompt
        assert "API-Request" not in task.prompt
