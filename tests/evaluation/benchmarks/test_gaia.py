"""GAIA's loader and its official rules."""

import json

import pytest

from deepagent.errors import UsageError
from deepagent.evaluation.benchmarks.gaia import Gaia, GaiaConfig, same
from deepagent.evaluation.known import empty, oracle
from deepagent.evaluation.registry import get_benchmark
from tests.evaluation.benchmarks.players import play


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        # Numbers: signs of money, percent and thousands do not count.
        ("17", "17", 1),
        ("17.0", "17", 1),
        ("$1,234.50", "1234.5", 1),
        ("25%", "25", 1),
        ("17 apples", "17", 0),
        ("", "17", 0),
        ("seventeen", "17", 0),
        ("-3", "-3", 1),
        # Text: spaces, case and punctuation do not count.
        ("St. Petersburg", "stpetersburg", 1),
        ("sea gull", "seagull", 1),
        ("Paris!", "paris", 1),
        ("Paris, France", "paris", 0),
        ("the Seine", "Seine", 0),
        # Lists: as many elements, each by its own kind; punctuation inside an element counts.
        ("a, b", "a,b", 1),
        ("a; b", "a, b", 1),
        ("b, a", "a, b", 0),
        ("a", "a, b", 0),
        ("a, b, c", "a, b", 0),
        ("1, two", "1.0, Two", 1),
        ("$3, 4%", "3, 4", 1),
        ("a., b", "a, b", 0),
    ],
)
def test_the_official_rules(answer, gold, right):
    assert same(answer, gold) == bool(right)


def test_a_number_with_commas_in_the_answer_is_one_number():
    assert same("1,000", "1000")
    assert not same("1000", "1,000"), "gold with a comma is a list, as the official scorer reads it"


async def test_the_oracle_is_right_and_who_says_nothing_is_not(tmp_path):
    benchmark = Gaia(GaiaConfig(tools=()))
    right = await play(benchmark, tmp_path, actions=oracle(benchmark))
    assert len(right) == 7
    assert {result.score.values["correct"].corrected for result in right.values()} == {1}
    none = await play(benchmark, tmp_path, actions=empty, tasks=benchmark.tasks()[:2])
    assert {result.score.values["correct"].corrected for result in none.values()} == {0}


def test_examples_have_levels_modalities_and_their_files():
    benchmark = get_benchmark("gaia")
    tasks = {task.id: task for task in benchmark.tasks()}
    assert {task.tags["level"] for task in tasks.values()} == {"1", "2", "3"}
    assert [task.tags["modality"] for task in tasks.values()] == [
        "text",
        "file",
        "file",
        "file",
        "multimodal",
        "text",
        "text",
    ]
    assert tasks["example-2"].attachments[0].name == "harvest.csv"
    assert all(task.gold not in task.prompt for task in tasks.values() if not task.gold.isdigit())
    assert benchmark.sources == ("research",)


def official(folder, **changes):
    row = {"task_id": "t1", "Question": "What?", "Level": 2, "Final answer": "x", "file_name": "sound.mp3"} | changes
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n\n")
    (folder / "sound.mp3").write_bytes(b"ID3")
    return Gaia(GaiaConfig(folder=folder))


def test_the_official_files_are_read(tmp_path):
    (task,) = official(tmp_path).tasks()
    assert (task.tags, task.attachments) == ({"level": "2", "modality": "multimodal"}, (tmp_path / "sound.mp3",))


@pytest.mark.parametrize("name", ["none.pdf", "../outside.txt", "/etc/hostname"])
def test_files_that_are_missing_or_lie_elsewhere_are_told(tmp_path, name):
    (tmp_path.parent / "outside.txt").write_text("x")
    with pytest.raises(UsageError, match="lacks the file"):
        official(tmp_path, file_name=name).tasks()


def test_what_is_no_official_file_is_told(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"question": "What?"}\n')
    with pytest.raises(UsageError, match="line 1: GAIA's questions have a 'task_id'"):
        Gaia(GaiaConfig(folder=tmp_path)).tasks()
    with pytest.raises(UsageError, match="cannot be read"):
        Gaia(GaiaConfig(folder=tmp_path / "none")).tasks()
