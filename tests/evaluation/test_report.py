"""The report: one page that needs nothing else and believes nothing that a model says."""

import json
import re
from html.parser import HTMLParser

import pytest

from deepagent.errors import UsageError
from deepagent.evaluation import charts, report
from deepagent.evaluation.charts import Bar
from deepagent.evaluation.statistics import Estimate
from deepagent.evaluation.store import ResultStore
from tests.evaluation.support import evaluation, result

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u2028"


class Page(HTMLParser):
    """Elements, and the text of scripts by id."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.text, self._script = [], {}, "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._script = dict(attributes).get("id", "") if tag == "script" else None

    def handle_endtag(self, tag):
        self._script = None

    def handle_data(self, data):
        if self._script is None:
            self.text += data
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def written(tmp_path, results, *evaluations, **options):
    with ResultStore(tmp_path / "results.sqlite") as store:
        for one in evaluations:
            store.begin(one)
            for made in results:
                store.add(one.id, made)
        page, figures = report.write(evaluations, store, tmp_path / "r.html", **{"viewer": report.VIEWER, **options})
    return page.read_text(encoding="utf-8"), json.loads(figures.read_text(encoding="utf-8"))


def test_it_shows_figures_setup_and_every_episode(tmp_path):
    results = [result("a"), result("b", right=0.0, tags={"level": "2"}), result("c", tags={"level": "1"})]
    text, figures = written(tmp_path, results, evaluation())
    page = Page(text)
    assert "66.7%" in page.text
    assert "sums, open-set, m" in page.text
    assert "level 2 (1)" in page.text
    rows = json.loads(page.scripts["data"])[0]
    columns = json.loads(page.scripts["columns"])
    assert [dict(zip(columns, row, strict=True))["run"] for row in rows] == ["run-a-0", "run-b-0", "run-c-0"]
    assert json.loads(page.scripts["viewer"]) == report.VIEWER
    assert figures["evaluations"][0]["metrics"][0]["corrected"]["mean"] == pytest.approx(2 / 3)
    assert figures["evaluations"][0]["evaluation"]["setup"]["prompt_hash"] == "p"


def test_it_needs_nothing_from_elsewhere(tmp_path):
    text, _ = written(tmp_path, [result()], evaluation())
    for tag, attributes in Page(text).elements:
        assert tag not in ("link", "img", "iframe")
        assert not attributes.keys() & {"src", "href"}
    assert "default-src 'none'" in text


def test_what_a_model_a_task_or_a_name_says_stays_text(tmp_path):
    hostile = result(
        HOSTILE, answer=HOSTILE, gold=HOSTILE, reason=HOSTILE, status="failed", tags={HOSTILE: HOSTILE}, run=HOSTILE
    )
    other = result("b", tags={HOSTILE: "x"})
    made = evaluation(model=HOSTILE, baseline=HOSTILE, settings={HOSTILE: HOSTILE})
    text, _ = written(tmp_path, [hostile, other], made, made.model_copy(update={"id": HOSTILE}))
    page = Page(text)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 4
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert json.loads(page.scripts["data"])[0][0][5] == HOSTILE
    assert HOSTILE in page.text


def test_several_evaluations_make_a_table(tmp_path):
    text, _ = written(tmp_path, [result()], evaluation("1", baseline="react"), evaluation("2", baseline="codeact"))
    assert "react, m" in Page(text).text
    assert "sums right (open-set)" in Page(text).text


def test_an_evaluation_without_results_can_be_shown(tmp_path):
    text, figures = written(tmp_path, [], evaluation())
    assert "0 episodes" in Page(text).text
    assert figures["evaluations"][0]["metrics"][0]["corrected"] is None


def test_a_viewer_that_is_no_url_and_a_file_that_cannot_be_written_are_told(tmp_path):
    with pytest.raises(UsageError, match="no URL of a viewer"):
        written(tmp_path, [], evaluation(), viewer="javascript:alert(1)")
    (tmp_path / "r.json").mkdir()
    with pytest.raises(UsageError, match="Is a directory"):
        written(tmp_path, [], evaluation())


def test_the_page_and_its_figures_cannot_be_one_file(tmp_path):
    with ResultStore(tmp_path / "results.sqlite") as store, pytest.raises(UsageError, match="another name"):
        report.write([], store, tmp_path / "r.json", viewer=report.VIEWER)


def test_bars_are_as_long_as_their_values():
    half, whole = (Estimate(mean=mean, low=mean, high=mean, tasks=2) for mean in (0.5, 1.0))
    drawn = charts.bars(
        [Bar(label="<half>", estimate=half), Bar(label="w", estimate=whole), Bar(label="n", estimate=None)]
    )
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn)]
    assert widths[1] == pytest.approx(2 * widths[0])
    assert "&lt;half&gt;" in drawn
    assert "no value" in drawn


def test_bars_make_room_for_values_above_one():
    drawn = charts.bars([Bar(label="steps", estimate=Estimate(mean=12, low=10, high=20, tasks=2))])
    assert all(float(x) <= 230 + 420 for x in re.findall(r"H([\d.]+)", drawn))


def test_a_histogram_counts_every_value():
    drawn = charts.histogram([0, 1, 1, 5], "steps")
    assert [int(count) for count in re.findall(r": (\d+) episodes", drawn)] == [1, 2, 0, 0, 0, 1]
    assert charts.histogram([], "steps") == ""
    many = charts.histogram([number / 7 for number in range(1000)], "seconds")
    assert sum(int(count) for count in re.findall(r": (\d+) episodes", many)) == 1000
