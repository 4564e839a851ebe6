"""`deepagent train retriever`, as a process; the training itself is tested in tests/training/retriever."""

from pathlib import Path

from tests.cli.conftest import complaint
from tests.retrieval.test_labelled import QUERIES, TOOLS, write


def test_help_teaches(deepagent):
    shown = deepagent("train", "retriever", "--help")
    assert shown.returncode == 0
    assert all(word in shown.stdout for word in ('"gold"', "--catalogue", "--base", "index eval"))


def test_something_to_train_on_must_be_named(deepagent):
    assert "--catalogue" in complaint(deepagent("train", "retriever", "--out", "x"), 2)


def test_a_base_that_is_not_here_tells_how_to_fetch_it(deepagent, tmp_path: Path):
    folder = write(tmp_path / "mine", TOOLS, QUERIES)
    said = complaint(deepagent("train", "retriever", folder, "--out", "x"), 1)
    assert "deepagent models pull all-minilm-l6-v2" in said


def test_an_unknown_set_is_told_before_anything_is_loaded(deepagent, tmp_path: Path):
    said = deepagent("train", "retriever", "no-such-set", "--base", tmp_path, "--out", "x")
    assert said.returncode == 2
    assert "no labelled set 'no-such-set'" in said.stderr
