"""Trails are made from a seed, can be followed to their end, and are too long for a small window."""

import itertools

import pytest

from deepagent.evaluation.benchmarks.trail import Trail, TrailConfig
from deepagent.transcript import BYTES_PER_TOKEN
from tests.evaluation.support import evaluated


def test_a_seed_makes_the_same_trails_and_another_one_others():
    first, again, other = (Trail(TrailConfig(tasks=3, seed=seed)).tasks() for seed in (0, 0, 1))
    assert first == again
    assert {task.gold for task in first}.isdisjoint(task.gold for task in other)


def test_every_report_but_the_last_names_the_next_one_and_no_later_one_holds_the_answer():
    for task in Trail(TrailConfig()).tasks():
        reports = list(task.data["reports"].items())
        for (_, text), (following, _) in itertools.pairwise(reports):
            assert text.endswith(f"The next report is {following}.")
        holding = [at for at, (_, text) in enumerate(reports) if task.gold in text]
        assert len(holding) == 1
        assert holding[0] < 3


def test_the_reports_do_not_fit_into_a_window_of_4096_tokens():
    for task in Trail(TrailConfig()).tasks():
        text = "".join(task.data["reports"].values())
        assert len(text) / (BYTES_PER_TOKEN + 1) > 4096  # English runs near four bytes a token


@pytest.mark.parametrize(("model", "solved"), [("oracle", 1.0), ("empty", 0.0)])
async def test_who_knows_the_way_succeeds_and_who_says_nothing_does_not(tmp_path, model, solved):
    results = await evaluated("trail", model, tmp_path)
    assert len(results) == 40
    for result in results:
        assert result.score.values["success"].corrected == solved
        assert result.score.values["path"].corrected == solved
