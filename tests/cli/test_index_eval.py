"""`deepagent index eval`, as a process."""

import json
from pathlib import Path

from tests.retrieval.test_labelled import QUERIES, TOOLS, write


def test_a_set_is_measured_by_every_retriever(deepagent, tmp_path: Path):
    folder = write(tmp_path / "mine", TOOLS, QUERIES)
    shown = deepagent("index", "eval", folder, "--encoder", "hash", "--half", "all")
    assert shown.returncode == 0, shown.stderr
    head, *rows = [line.split() for line in shown.stdout.splitlines()]
    assert head == ["set", "subset", "retriever", "queries", "R@1", "R@5", "R@10", "R@20", "nDCG@10", "MRR", "C@10"]
    assert [row[:3] for row in rows if len(row) == 11] == [
        ["mine", subset, way] for way in ("lexical", "dense", "fused") for subset in ("easy", "hard")
    ]
    assert rows[0] == ["mine", "lexical", "2", "50.0", "100.0", "100.0", "100.0", "81.5", "75.0", "100.0"]


def test_json_is_one_row_a_line(deepagent, tmp_path: Path):
    folder = write(tmp_path / "mine", TOOLS, QUERIES)
    told = deepagent("index", "eval", folder, "--encoder", "hash", "--half", "all", "-n", 1, "--json")
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert [row["retriever"] for row in rows] == ["lexical", "dense", "fused"]
    assert rows[0]["measures"]["recall"]["5"] == 1


def test_an_unknown_set_is_a_usage_error(deepagent):
    told = deepagent("index", "eval", "nothing-here")
    assert told.returncode == 2
    assert "no labelled set 'nothing-here'" in told.stderr
