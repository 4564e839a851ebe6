"""No task to train on is one that a benchmark tests with."""

import pytest

from deepagent.errors import TrainingError, UsageError
from deepagent.evaluation import registry
from deepagent.training.contamination import WORDS, Asked, asked_by_benchmarks
from deepagent.training.families.lookup import Lookup, LookupConfig

LONG = "put the second red mug that you find on the left of the tall shelf in the kitchen"


@pytest.fixture(scope="module")
def all_tests() -> Asked:
    return asked_by_benchmarks()


@pytest.mark.parametrize("seed", range(3))
def test_no_family_trains_on_a_test_task(all_tests: Asked, seed: int):
    all_tests.refuse(task.prompt for task in Lookup(LookupConfig(split="train", tasks=400, seed=seed)).tasks())


@pytest.mark.parametrize("name", registry.names())
def test_every_benchmark_is_guarded(all_tests: Asked, name: str):
    try:
        prompts = [task.prompt for task in registry.get_benchmark(name).tasks()]
    except UsageError as missing:
        pytest.skip(str(missing))
    known = [prompt for prompt in prompts if all_tests.where(prompt) is not None]
    assert len(known) >= 0.9 * len(prompts)
    with pytest.raises(TrainingError, match="tests what would be trained on"):
        all_tests.refuse(known[:1])


def test_a_part_of_a_test_task_is_found_whatever_its_spelling():
    asked = Asked([("some", f"Task: {LONG}.")])
    words = LONG.upper().split()
    assert asked.where("Please, " + ", ".join(words[:WORDS]) + " now") == "some"
    assert asked.where(" ".join(words[: WORDS - 1])) is None


def test_short_tasks_are_compared_whole():
    asked = Asked([("some", "Who supplies tea?")])
    assert asked.where("who supplies TEA") == "some"
    assert asked.where("Who supplies tea to us?") is None


def test_what_is_common_to_tasks_marks_none_of_them():
    asked = Asked([("some", f"{LONG} {one}") for one in ("apple", "pear")])
    assert asked.where(LONG) is None
    assert asked.where(f"{LONG} apple") == "some"
