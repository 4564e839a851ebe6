"""Search by words: BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepagent.retrieval.text import words

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Matrix


class LexicalIndex:
    """Compares the words of a query with the words of all tools.

    Args:
        texts: the text of each tool.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        self._count = len(texts)
        documents = [words(text) for text in texts]
        self._bm25: Any = None
        # bm25s divides by the mean length: texts without a single word leave nothing to search.
        if any(documents):
            self._bm25 = bm25s.BM25()
            self._bm25.index(documents, show_progress=False)

    def scores(self, queries: Sequence[str]) -> Matrix:
        """Return the BM25 score of every tool for every query, shape (queries, tools); at least 0."""
        import numpy as np

        scores = np.zeros((len(queries), self._count), np.float32)
        if self._bm25 is None:
            return scores
        for row, query in enumerate(queries):
            known = [word for word in words(query) if word in self._bm25.vocab_dict]
            if known:
                scores[row] = self._bm25.get_scores(known)
        return scores
