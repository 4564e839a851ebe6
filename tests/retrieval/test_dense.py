from pathlib import Path

import numpy as np
import pytest

from deepagent.retrieval import dense
from deepagent.retrieval.dense import DenseIndex


def vectors(count: int, dimension: int = 32, seed: int = 0) -> np.ndarray:
    """Points around some centres, as texts lie around topics."""
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((max(count // 20, 1), dimension))
    made = centres[draw.integers(0, len(centres), count)] + 0.5 * draw.standard_normal((count, dimension))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> DenseIndex:
    monkeypatch.setattr(dense, "GRAPH_FROM", 1_000)
    return DenseIndex(vectors(3_000))


def test_few_vectors_are_compared_exactly():
    rows = vectors(200)
    index = DenseIndex(rows)
    assert not index.has_graph
    expected = np.argsort(-(rows @ rows[7]))[:10]
    assert index.best(rows[7:8], 10).tolist() == sorted(expected)


def test_many_vectors_are_found_along_a_graph(graph: DenseIndex):
    assert graph.has_graph
    queries = vectors(50, seed=1)
    found = [set(graph.best(query[None], 10)) for query in queries]
    exact = [set(graph.best(query[None], 10, exact=True)) for query in queries]
    assert sum(len(one & other) for one, other in zip(found, exact, strict=True)) >= 0.98 * 500


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_not_allowed_is_never_found(graph: DenseIndex, exact: bool):
    allowed = np.arange(len(graph)) % 3 == 0
    rows = graph.best(graph.vectors[[3, 4]], 50, allowed, exact=exact)
    assert 3 in rows
    assert allowed[rows].all()


def test_a_graph_comes_back_from_disk(graph: DenseIndex, tmp_path: Path):
    graph.save_vectors(tmp_path / "vectors")
    graph.save_graph(tmp_path / "graph")
    opened = DenseIndex.open(tmp_path / "vectors", tmp_path / "graph")
    assert opened.has_graph
    assert (opened.vectors == graph.vectors).all()
    for query in vectors(20, seed=2):
        assert (opened.best(query[None], 10) == graph.best(query[None], 10)).all()


def test_the_vectors_are_not_written_twice(graph: DenseIndex, tmp_path: Path):
    graph.save_graph(tmp_path / "graph")
    links_and_levels = 3_000 * (32 * 2 + 8) * 4 * 1.2
    assert (tmp_path / "graph").stat().st_size < links_and_levels


def test_scores_are_cosines_of_the_rows_that_are_asked_for():
    rows = vectors(10)
    assert DenseIndex(rows).scores(rows[:2], np.array([1, 5])) == pytest.approx(rows[:2] @ rows[[1, 5]].T, abs=1e-6)


def test_nothing_is_found_among_nothing():
    index = DenseIndex(np.zeros((0, 8), np.float32))
    assert index.best(np.ones((1, 8), np.float32), 5).tolist() == []
    assert index.scores(np.ones((1, 8), np.float32)).shape == (1, 0)
