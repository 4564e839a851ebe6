"""Tables of what was run: one row for each set, framework and half."""

import pytest

from benchmarks.success import kept, report
from benchmarks.success.__main__ import main
from deepagent.evaluation.store import ResultStore
from tests.evaluation.support import evaluation, result


@pytest.fixture
def results(tmp_path):
    with ResultStore(tmp_path / "results.sqlite") as store:
        for who in ("deepagent", "other"):
            store.begin(evaluation(f"sums-{who}", benchmark="toolhop", baseline=who))
            for number in range(4):
                solved = number < (2 if who == "deepagent" else 1)
                tags = {"half": "reporting", "failure": "" if solved else "format", "turns": "3"}
                one = result(
                    f"t{number}", right=float(solved), tags=tags, seconds=10.0,
                    usage={"prompt_tokens": 1000, "cached_tokens": 500},
                )  # fmt: skip
                store.add(f"sums-{who}", one)
        yield store


def test_success_costs_failures_and_pairs(results, tmp_path):
    page = tmp_path / "page.md"
    names = ("success", "failures", "pairs")
    page.write_text("# Page\n" + "".join(f"<!-- {name} -->\nold\n<!-- /{name} -->\n" for name in names) + "End.\n")
    report.tell(results, page)
    text = page.read_text()
    assert "old" not in text
    assert text.endswith("End.\n")
    assert "| toolhop | deepagent | reporting | 4 | 50% (0% to 100%) | 0.500 | 2,000 | 50% | 3.0 | 20 |" in text
    assert "| toolhop | other | reporting | 4 | 25% (0% to 75%) | 0.250 | 4,000 | 50% | 3.0 | 40 |" in text
    assert "| toolhop | other | reporting |  |  | 3 |" in text  # format
    assert "| toolhop | reporting | other | 4 | 25% | 50% | +25%" in text


def test_the_command_prints_them_where_nothing_was_run(tmp_path, capsys):
    main(["--work", str(tmp_path), "--kept", str(tmp_path), "report"])
    assert capsys.readouterr().out.startswith("| set | who | half |")


def test_what_was_measured_is_kept_in_files_and_told_again_from_them(results, tmp_path):
    kept.save(results, tmp_path / "kept")
    with ResultStore(tmp_path / "other.sqlite") as other:
        kept.load(other, tmp_path / "kept")
        kept.load(other, tmp_path / "kept")
        assert other.evaluations() == results.evaluations()
        for evaluation, _ in results.evaluations():
            assert other.results(evaluation.id) == results.results(evaluation.id)
