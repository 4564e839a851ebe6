"""One score out of several: search by meaning and by words, for the whole query and for its sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Matrix, Vector

LEXICAL_WEIGHT = 0.4
"""Share of the words in the score; best mean over eight tool-search sets with untuned MiniLM (0.3 to 0.5 is close)."""


def fuse(dense: Matrix, lexical: Matrix) -> Vector:
    """Return one score per tool, between 0 and 1.

    Each kind of score is divided by its best, so that neither depends on how bad the worst tool is. A query of several
    sentences is scored as a whole plus its best sentence: a tool that serves one of many wishes well is found, and a
    wish that spans sentences is too.

    Args:
        dense: cosines, shape (queries, tools); the first row is the whole query, the others are its sentences.
        lexical: BM25 scores of the same shape.
    """
    scores = LEXICAL_WEIGHT * _relative(lexical) + (1 - LEXICAL_WEIGHT) * _relative(dense)
    whole, sentences = scores[0], scores[1:]
    fused: Vector = (whole + sentences.max(axis=0)) * 0.5 if len(sentences) else whole
    return fused


def _relative(scores: Matrix) -> Matrix:
    import numpy as np

    # A cosine below zero says no more than zero does: unrelated.
    positive = np.maximum(scores, 0)
    best = positive.max(axis=1, keepdims=True)
    best[best == 0] = 1
    relative: Matrix = positive / best
    return relative
