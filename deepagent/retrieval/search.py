"""Search over the parts of an index: candidates by meaning and by words, fused, with the tools that they depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from deepagent.retrieval.fusion import DEPTH, TIE, fuse, with_finders
from deepagent.retrieval.lexical import LexicalIndex
from deepagent.retrieval.segment import Segment
from deepagent.retrieval.strings import encoded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepagent.retrieval.encoders import Matrix, Vector

    Rows = NDArray[np.intp]
    Mask = NDArray[np.bool_]

_LEADERS = 10
"""How many of the best tools bring along those that find what they need."""


class Found(NamedTuple):
    """A tool that was found: its row, its fused score, and its scores for the whole query."""

    row: int
    score: float
    dense: float
    lexical: float


class Searcher:
    """Ranks the tools of some segments. Rows are counted through all of them.

    Args:
        segments: the tools.
        alive: which rows count, shape (tools,); all when None.
    """

    def __init__(self, segments: Sequence[Segment], alive: Mask | None) -> None:
        import numpy as np

        self._segments = segments
        self._firsts = [sum(map(len, segments[:number])) for number in range(len(segments))]
        self._alive = alive
        self.lexical = LexicalIndex([segment.postings for segment in segments], alive)
        self._places = _places(segments) if len(segments) > 1 else np.arange(sum(map(len, segments)))
        self._toolsets = _numbered(segments)

    def search(self, parts: Sequence[str], vectors: Matrix, k: int, toolset: str | None) -> list[Found]:
        """The `k` best tools, the best first; equal ones in order of their names.

        Args:
            parts: the query, then its parts.
            vectors: one row for each of them.
            k: the most tools to return.
            toolset: search among the tools of this toolset alone.
        """
        import numpy as np

        allowed = self._alive if toolset is None else self._of_toolset(toolset)
        words = self.lexical.scores(parts)
        rows = self.candidates(vectors, words, max(k, DEPTH), allowed, exact=toolset is not None)
        if not len(rows):
            return []
        cosines, scores = self._scored(vectors, words, rows)
        if pairs := self._finders(rows[self._ranked(scores, rows)[:_LEADERS]], allowed):
            rows = np.union1d(rows, [finder for finder, _ in pairs])
            cosines, scores = self._scored(vectors, words, rows)
            scores = with_finders(scores, np.searchsorted(rows, pairs))
        best = self._ranked(scores, rows)[:k]
        return [
            Found(int(rows[at]), float(scores[at]), float(cosines[0, at]), float(words[0, rows[at]])) for at in best
        ]

    def candidates(self, vectors: Matrix, words: Matrix, depth: int, allowed: Mask | None, *, exact: bool) -> Rows:
        """The rows that are among the best `depth` for any part of the query, by meaning or by words; ascending."""
        import numpy as np

        if depth >= len(self._places):
            return np.arange(len(self._places)) if allowed is None else np.flatnonzero(allowed)
        found = [_best(scores if allowed is None else np.where(allowed, scores, 0), depth) for scores in words]
        for segment, first in zip(self._segments, self._firsts, strict=True):
            here = None if allowed is None else allowed[first : first + len(segment)]
            found.append(segment.dense.best(vectors, depth, here, exact=exact) + first)
        return np.unique(np.concatenate(found))

    def cosines(self, vectors: Matrix, rows: Rows) -> Matrix:
        """The cosine of every vector with every row, shape (vectors, rows)."""
        import numpy as np

        return np.concatenate([segment.dense.scores(vectors, own) for segment, own in self._split(rows)], axis=1)

    def _scored(self, vectors: Matrix, words: Matrix, rows: Rows) -> tuple[Matrix, Vector]:
        """The cosines of rows with every part of the query, and their fused scores."""
        cosines = self.cosines(vectors, rows)
        return cosines, fuse(cosines, words[:, rows], self._toolsets_of(rows))

    def _finders(self, leaders: Rows, allowed: Mask | None) -> list[tuple[int, int]]:
        """Pairs of a tool that finds what a leader needs, and that leader."""
        pairs = []
        for leader in leaders.tolist():
            segment, row = self._at(leader)
            toolset = segment.toolsets[int(segment.toolset[row])]
            for thing in segment.finders.needs_of(row):
                for other, first in zip(self._segments, self._firsts, strict=True):
                    for finder in (other.finders.of_thing(toolset, thing) + first).tolist():
                        if finder != leader and (allowed is None or allowed[finder]):
                            pairs.append((finder, leader))
        return pairs

    def _at(self, row: int) -> tuple[Segment, int]:
        number = max(place for place, first in enumerate(self._firsts) if first <= row)
        return self._segments[number], row - self._firsts[number]

    def _ranked(self, scores: Vector, rows: Rows) -> Rows:
        import numpy as np

        return np.lexsort((self._places[rows], -scores.round(TIE)))

    def _toolsets_of(self, rows: Rows) -> NDArray[np.int64]:
        import numpy as np

        return np.concatenate(
            [
                numbers[segment.toolset[own]]
                for (segment, own), numbers in zip(self._split(rows), self._toolsets, strict=True)
            ]
        )

    def _split(self, rows: Rows) -> Iterator[tuple[Segment, Rows]]:
        """Ascending rows by the segments that they lie in, counted there."""
        import numpy as np

        split = np.split(rows, np.searchsorted(rows, self._firsts[1:]))
        for segment, own, first in zip(self._segments, split, self._firsts, strict=True):
            yield segment, own - first

    def _of_toolset(self, name: str) -> Mask:
        import numpy as np

        masks = []
        for segment in self._segments:
            number = segment.toolsets.find(encoded(name))
            masks.append(np.zeros(len(segment), bool) if number is None else segment.toolset == number)
        mask: Mask = np.concatenate(masks)
        return mask if self._alive is None else mask & self._alive


def _places(segments: Sequence[Segment]) -> Rows:
    """The place of each row among all names of all segments: what decides between equal tools."""
    import numpy as np

    names = [name for segment in segments for name in segment.names]
    places = np.empty(len(names), np.intp)
    places[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return places


def _numbered(segments: Sequence[Segment]) -> list[NDArray[np.int64]]:
    """For each segment the numbers of its toolsets: -1 for none; the same name has one number in all segments."""
    import numpy as np

    numbers: dict[bytes, int] = {b"": -1}
    return [
        np.array([numbers.setdefault(name, len(numbers) - 1) for name in segment.toolsets], np.int64)
        for segment in segments
    ]


def _best(scores: Vector, depth: int) -> Rows:
    """The rows of the highest scores above zero, up to `depth`; of equal ones the first."""
    import numpy as np

    rows = np.flatnonzero(scores > 0)
    if len(rows) > depth:
        # Not below the last of the best; of those that equal it, the first ones.
        least = np.partition(scores[rows], len(rows) - depth)[len(rows) - depth]
        rows = rows[scores[rows] >= least]
        rows = rows[np.argsort(-scores[rows], kind="stable")[:depth]]
    return rows
