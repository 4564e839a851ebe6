"""What results come to."""

import pytest

from deepagent.config import Price
from deepagent.errors import UsageError
from deepagent.evaluation.base import Value
from deepagent.evaluation.compare import compare
from deepagent.evaluation.results import cost
from deepagent.evaluation.summary import summarise
from deepagent.evaluation.tables import matrix
from deepagent.models.base import Usage
from tests.evaluation.support import evaluation, result


def test_figures_are_means_over_episodes_published_and_corrected():
    values = {"right": Value(published=0, corrected=1), "steps": Value.same(5)}
    found = summarise(evaluation(), [result("a"), result("b", right=0), result("c", values=values)])
    right, steps = found.metrics
    assert right.corrected.mean == pytest.approx(2 / 3)
    assert right.published.mean == pytest.approx(1 / 3)
    assert steps.published == steps.corrected
    assert steps.corrected.mean == pytest.approx(11 / 3)
    assert (found.episodes, found.tasks, found.seeds) == (3, 3, 1)


def test_an_episode_without_a_value_is_left_out_and_one_that_failed_is_not():
    found = summarise(evaluation(), [result("a"), result("b", right=None), result("c", right=0.0, status="failed")])
    assert found.headline.corrected.mean == 0.5
    assert found.statuses == {"answered": 2, "failed": 1}


def test_a_metric_that_counts_parts_is_a_mean_over_parts():
    def calls(right, of):
        return {"right": Value.same(1), "steps": Value.same(right / of, weight=of)}

    found = summarise(evaluation(), [result("a", values=calls(1, 1)), result("b", values=calls(1, 9))])
    assert found.metrics[1].corrected.mean == pytest.approx(2 / 10)


def test_several_seeds_give_the_chance_in_several_tries():
    found = summarise(evaluation(), [result("a", seed, right=float(seed == 0)) for seed in range(4)])
    assert found.headline.pass_at == pytest.approx({1: 0.25, 2: 0.5, 3: 0.75, 4: 1.0})
    assert found.metrics[1].pass_at == {}
    assert summarise(evaluation(), [result("a")]).headline.pass_at == {}


def test_tables_are_split_by_tags_that_have_a_few_values():
    results = [
        result(str(number), right=float(number % 2), tags={"level": str(number % 2), "id": str(number), "one": "x"})
        for number in range(40)
    ]
    parts = summarise(evaluation(), results).parts
    assert [(part.tag, part.value, part.episodes, part.corrected["right"].mean) for part in parts] == [
        ("level", "0", 20, 0),
        ("level", "1", 20, 1),
    ]


def test_nothing_comes_to_nothing():
    found = summarise(evaluation(), [])
    assert (found.episodes, found.headline.corrected, found.parts) == (0, None, ())


def test_cost_is_told_where_every_price_is_known():
    price = Price(prompt=2.0, cached=0.5, completion=10.0)
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=600_000, completion_tokens=100_000)
    assert cost({"main": usage}, {"main": price}) == pytest.approx(0.8 + 0.3 + 1.0)
    assert cost({"main": usage}, {"main": Price(prompt=2, completion=10)}) == pytest.approx(3.0)
    assert cost({"main": usage, "judge": usage}, {"main": price}) is None
    assert cost({"main": usage, "judge": Usage()}, {"main": price}) == pytest.approx(2.1)
    priced = evaluation().model_copy(update={"prices": {"main": price}})
    assert summarise(priced, [result(), result("b")]).cost == pytest.approx(20 * 2 / 1e6)
    assert summarise(evaluation(), [result()]).cost is None


def test_evaluations_stand_side_by_side_by_benchmark_and_way_to_work():
    made = [
        summarise(evaluation("1", baseline="react"), [result(right=0.0)]),
        summarise(evaluation("2"), [result()]),
        summarise(evaluation("3", benchmark="other"), [result()]),
    ]
    found = matrix(made)
    assert found.columns == ("react, m", "default, m")
    assert [(name, [cell and cell.mean for cell in cells]) for name, cells in found.rows] == [
        ("sums right (open-set)", [0, 1]),
        ("sums steps (open-set)", [3, 3]),
        ("other right (open-set)", [None, 1]),
        ("other steps (open-set)", [None, 3]),
    ]


def test_two_evaluations_are_compared_with_warnings_where_they_are_not_alike():
    one, other = evaluation("1"), evaluation("2", data_hash="e", mode="labelled", roles={"judge": "j"}, version="2")
    made = compare(one, [result("a", right=0), result("b")], other, [result("a"), result("b")])
    assert (made.metrics["right"].difference, made.metrics["right"].better) == (0.5, 1)
    assert [warning.split(":")[0].split(" (")[0] for warning in made.warnings] == [
        "the tasks are not the same", "the modes differ", "the judges differ", "the versions differ"
    ]  # fmt: skip
    with pytest.raises(UsageError, match="different benchmarks"):
        compare(one, [], evaluation("3", benchmark="other"), [])
    with pytest.raises(UsageError, match="no task in common"):
        compare(one, [result("a")], other, [result("b")])
