"""One score out of several: search by meaning and by words, for the whole query and for its parts.

Fusion looks at candidates alone, never at the whole catalogue, so that it costs the same whatever finds them: exact
search or a graph, ten tools or a million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepagent.retrieval.encoders import Matrix, Vector

DEPTH = 200
"""How many tools each kind of search proposes for each part of a query."""

LEXICAL_WEIGHT = 0.25
"""Share of the words in the score. Chosen on the tuning halves of labelled sets; see docs/retrieval.md."""

TOOLSET_WEIGHT = 0.6
"""What the best tool of a toolset adds to the score of its others: wishes often need several of one toolset. Chosen
by what search keeps among the tools of other catalogues, with all queries of one set; see docs/retrieval.md."""

FINDER_WEIGHT = 0.25
"""What a tool adds to the score of those that find what it needs; see `deepagent.retrieval.finders`."""

TIE = 6
"""Decimals at which scores count as equal: the last bits of a product depend on where a row lies in memory."""


def fuse(dense: Matrix, lexical: Matrix, toolsets: NDArray[np.integer]) -> Vector:
    """Return one score per candidate, between 0 and 1.

    Each kind of score is divided by its best, so that neither depends on how bad the worst candidate is. A query of
    several parts is scored as a whole plus its best part: a tool that serves one of many wishes well is found, and a
    wish that spans sentences is too. Then a tool gains from the best one of its toolset.

    Args:
        dense: cosines of the candidates, shape (parts, candidates); the first row is the whole query, the others its
            parts. Every candidate is scored for every part, whichever part and kind of search proposed it.
        lexical: BM25 scores of the same shape.
        toolsets: a number for the toolset of each candidate, less than 0 for those of none, shape (candidates,).
    """
    import numpy as np

    scores = LEXICAL_WEIGHT * _relative(lexical) + (1 - LEXICAL_WEIGHT) * _relative(dense)
    whole, parts = scores[0], scores[1:]
    own = (whole + parts.max(axis=0)) * 0.5 if len(parts) else whole
    fused: Vector = (own + TOOLSET_WEIGHT * _best_beside(own, toolsets)) / np.float32(1 + TOOLSET_WEIGHT)
    return fused


def with_finders(scores: Vector, pairs: NDArray[np.integer]) -> Vector:
    """Raise the tools that find what a good tool needs, though never above that tool.

    Args:
        scores: fused scores, shape (candidates,).
        pairs: the places of such a tool and of the one that needs it, shape (pairs, 2).
    """
    import numpy as np

    served = np.zeros_like(scores)
    np.maximum.at(served, pairs[:, 0], scores[pairs[:, 1]])
    raised: Vector = np.maximum(scores, np.minimum(scores + np.float32(FINDER_WEIGHT) * served, served))
    return raised


def _best_beside(scores: Vector, toolsets: NDArray[np.integer]) -> Vector:
    """The best score in the toolset of each candidate; its own where it is of none."""
    import numpy as np

    grouped = toolsets >= 0
    best = np.zeros(int(toolsets.max(initial=-1)) + 1, scores.dtype)
    np.maximum.at(best, toolsets[grouped], scores[grouped])
    beside = scores.copy()
    beside[grouped] = best[toolsets[grouped]]
    return beside


def _relative(scores: Matrix) -> Matrix:
    import numpy as np

    # A cosine below zero says no more than zero does: unrelated.
    positive = np.maximum(scores, 0)
    best = positive.max(axis=1, keepdims=True)
    best[best == 0] = 1
    relative: Matrix = positive / best
    return relative
