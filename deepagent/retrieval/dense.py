"""Search by meaning: exact inner products over all tools, by FAISS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepagent.retrieval.threads import patient_openmp

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Matrix


class DenseIndex:
    """Compares query vectors with the vectors of all tools.

    Args:
        vectors: one normalised row per tool, shape (tools, dimension).
    """

    def __init__(self, vectors: Matrix) -> None:
        with patient_openmp():
            import faiss

        self._index: Any = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def scores(self, queries: Matrix) -> Matrix:
        """Return the cosine of every query with every tool, shape (queries, tools)."""
        import numpy as np

        values, rows = self._index.search(queries, self._index.ntotal)
        scores: Matrix = np.empty_like(values)
        np.put_along_axis(scores, rows, values, axis=1)
        return scores
