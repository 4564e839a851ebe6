"""ALFWorld's tasks and scorer."""

import json

import pytest

pytest.importorskip("alfworld", reason="ALFWorld's engine is not installed; `make test-alfworld` installs it")

from deepagent.actions import Answer, Call
from deepagent.errors import UsageError
from deepagent.evaluation.base import Episode
from deepagent.evaluation.benchmarks.alfworld import AlfWorldBenchmark, AlfWorldConfig, called
from deepagent.evaluation.known import empty, oracle
from deepagent.evaluation.registry import get_benchmark
from deepagent.toolsets.alfworld.toolset import AlfWorld
from tests.evaluation.benchmarks.players import play
from tests.toolsets.test_alfworld import HEAT, WAY, small

BENCHMARK = get_benchmark("alfworld")


def values(results):
    return [
        (result.score.values["success"].published, result.score.values["success"].corrected,
         result.score.values["sub_goals"].corrected)
        for result in results.values()
    ]  # fmt: skip


def folder_of_games(folder):
    """The original's layout, with a game of ours."""
    place = folder / "pick_heat_then_place_in_recep-Apple-None-DiningTable-7" / "trial_1"
    place.mkdir(parents=True)
    game = small().model_copy(update={"walkthrough": WAY})
    (place / "game.tw-pddl").write_text(json.dumps(game.model_dump() | {"solvable": True}))
    for name, solvable in (("pick_movable_x", True), ("pick_b", False)):
        (folder / name).mkdir()
        (folder / name / "game.tw-pddl").write_text(json.dumps(game.model_dump() | {"solvable": solvable}))
    return AlfWorldBenchmark(AlfWorldConfig(games=folder, steps=10))


def test_by_default_134_games_are_drawn_and_the_same_every_time():
    tasks = BENCHMARK.tasks()
    assert len({task.id for task in tasks}) == 134
    assert {task.tags["kind"] for task in tasks} == {
        task.tags["kind"] for task in tasks if task.data["task"] in task.prompt
    }
    assert AlfWorldBenchmark(AlfWorldConfig(seed=1)).tasks()[0].id != tasks[0].id
    assert len(AlfWorldBenchmark(AlfWorldConfig(count=5000)).tasks()) == 4839


async def test_the_oracle_wins_a_game_of_the_originals_form(tmp_path):
    benchmark = folder_of_games(tmp_path / "games")
    (task,) = benchmark.tasks()
    assert (task.tags["kind"], task.data["task"]) == (HEAT.kind, "put a hot apple in diningtable")
    results = await play(benchmark, tmp_path, actions=oracle(benchmark))
    assert values(results) == [(1, 1, 1)]


async def test_who_does_nothing_gets_nothing(tmp_path):
    benchmark = folder_of_games(tmp_path / "games")
    for actions in (empty, lambda task: [Answer(text="It is done.")]):
        assert values(await play(benchmark, tmp_path, actions=actions)) == [(0, 0, 0)]


async def test_the_limit_of_steps_is_a_success_only_as_published(tmp_path):
    benchmark = folder_of_games(tmp_path / "games")
    looks = [Call(name="go_to", arguments={"receptacle": f"{name} 1"}) for name in ("fridge", "microwave") * 5]
    results = await play(benchmark, tmp_path, actions=lambda task: looks)
    assert values(results) == [(1, 0, 0)]
    assert next(iter(results.values())).status == "answered", "the game ended the run"


async def test_a_game_that_could_not_be_loaded_scores_nothing():
    task = BENCHMARK.tasks()[0]
    for world in (None, AlfWorld(small, HEAT)):
        score = await BENCHMARK.score(
            Episode(task=task, mode="labelled", answer=None, status="failed", world=world), None
        )
        assert [(value.published, value.corrected) for value in score.values.values()] == [(0, 0), (0, 0)]


def test_walkthroughs_are_read_as_calls():
    assert called("move apple 1 to fridge 1").arguments == {"thing": "apple 1", "receptacle": "fridge 1"}
    assert [called(command).name for command in (*WAY, "use desklamp 1", "look")] == [
        "go_to", "open_receptacle", "take", "go_to", "heat", "go_to", "move", "use", "look",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no command"):
        called("dance")


def test_a_folder_without_games_is_told(tmp_path):
    with pytest.raises(UsageError, match="holds no games"):
        AlfWorldBenchmark(AlfWorldConfig(games=tmp_path)).tasks()


@pytest.mark.heavy
@pytest.mark.timeout(7200)
async def test_the_oracle_wins_every_game_that_is_made(tmp_path):
    results = await play(BENCHMARK, tmp_path, actions=oracle(BENCHMARK))
    assert set(values(results)) == {(1, 1, 1)}
    assert len(results) == 134
