"""Which model a stage of training begins with."""

from pathlib import Path

from deepagent.training.recipe import Policy, Recipe, Tasks
from deepagent.training.stages import MODEL, _beginning, make_benchmark


def test_reinforcement_goes_on_from_what_was_trained_in_the_folder(tmp_path: Path):
    recipe = Recipe(policy=Policy(model="base"))
    told: list[str] = []
    assert _beginning(recipe, make_benchmark(Tasks()), tmp_path, told.append) == Path("base")
    assert told == []
    (tmp_path / MODEL).mkdir()
    assert _beginning(recipe, make_benchmark(Tasks()), tmp_path, told.append) == tmp_path / MODEL
    assert told == [f"going on from {tmp_path / MODEL}"]
