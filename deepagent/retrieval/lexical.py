"""Search by words: BM25 over parts that may change.

A part holds what does not depend on the other tools: which words occur where and how often. How rare a word is and how
long a text is on average are counted over all parts when they are put together, so that an index that grew by and by
gives the same scores as one that was built at once. The formula is Lucene's (k1 = 1.5, b = 0.75), as in `bm25s`, which
stores finished scores and so would have to be built anew whenever a tool comes or goes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from deepagent.retrieval.strings import Strings
from deepagent.retrieval.text import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepagent.retrieval.encoders import Matrix, Vector

    Rows = NDArray[np.intp]
    Mask = NDArray[np.bool_]

_K1 = 1.5
_B = 0.75
_MOST = 65_535


@dataclass(frozen=True)
class Postings:
    """Which words occur in which texts.

    Attributes:
        vocabulary: all words, ascending.
        starts: where the entries of each word begin in `rows` and `counts`, and at last where all end.
        rows: the texts with the word, ascending.
        counts: how often the word occurs in each of them.
        lengths: number of words of each text.
    """

    vocabulary: Strings
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.uint16]
    lengths: NDArray[np.int32]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Count the words of texts."""
        import numpy as np

        numbers: dict[str, int] = {}
        found: list[NDArray[np.int64]] = []
        lengths = np.zeros(len(texts), np.int32)
        for row, text in enumerate(texts):
            terms = words(text)
            lengths[row] = len(terms)
            found.append(np.array([numbers.setdefault(term, len(numbers)) for term in terms], np.int64))
        ordered = sorted(numbers)
        place = np.zeros(len(numbers), np.int64)
        place[[numbers[term] for term in ordered]] = np.arange(len(ordered))
        # One number for a word in a text: sorting brings equal ones together, by word and then by text.
        at = place[np.concatenate(found)] if found else np.zeros(0, np.int64)
        keys = at * max(len(texts), 1) + np.repeat(np.arange(len(texts)), lengths)
        keys, counts = np.unique(keys, return_counts=True)
        terms_of, rows = np.divmod(keys, max(len(texts), 1))
        starts = np.searchsorted(terms_of, np.arange(len(ordered) + 1))
        return cls(
            Strings.of(term.encode() for term in ordered),
            starts.astype(np.int64),
            rows.astype(np.int32),
            np.minimum(counts, _MOST).astype(np.uint16),
            lengths,
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def at(self, word: str) -> slice:
        """Where the entries of a word are; empty where no text has it."""
        number = self.vocabulary.find(word.encode())
        return slice(0, 0) if number is None else slice(int(self.starts[number]), int(self.starts[number + 1]))


class LexicalIndex:
    """Compares the words of a query with the words of all tools.

    Args:
        parts: the words of the tools; rows are counted through all parts.
        alive: which rows count, shape (tools,); all when None.
    """

    def __init__(self, parts: Sequence[Postings], alive: Mask | None = None) -> None:
        import numpy as np

        self._parts = parts
        self._firsts = [sum(map(len, parts[:number])) for number in range(len(parts))]
        self._alive = alive
        lengths = np.concatenate([part.lengths for part in parts]) if parts else np.zeros(0, np.int32)
        counted = lengths if alive is None else lengths[alive]
        self._count = len(counted)
        mean = float(counted.mean()) if self._count else 0.0
        # What a text's length takes off; without any word nothing is ever scored, and the mean is never used.
        self._norms = (_K1 * (1 - _B + _B * lengths / (mean or 1))).astype(np.float32)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Index the texts of some tools."""
        return cls([Postings.of(texts)])

    def scores(self, queries: Sequence[str]) -> Matrix:
        """Return the BM25 score of every tool for every query, shape (queries, tools); at least 0."""
        import numpy as np

        scores = np.zeros((len(queries), len(self._norms)), np.float32)
        known: dict[str, list[tuple[Rows, Vector]]] = {}
        for row, query in enumerate(queries):
            for word, times in Counter(words(query)).items():
                if word not in known:
                    known[word] = self._gains(word)
                for rows, gains in known[word]:
                    scores[row, rows] += gains if times == 1 else gains * times
        return scores

    def _gains(self, word: str) -> list[tuple[Rows, Vector]]:
        """What the word adds to the score of each tool that has it, per part."""
        import numpy as np

        entries = []
        for part, first in zip(self._parts, self._firsts, strict=True):
            place = part.at(word)
            rows, counts = part.rows[place].astype(np.intp) + first, part.counts[place].astype(np.float32)
            if self._alive is not None:
                kept = self._alive[rows]
                rows, counts = rows[kept], counts[kept]
            entries.append((rows, counts))
        having = sum(len(rows) for rows, _ in entries)
        rarity = math.log1p((self._count - having + 0.5) / (having + 0.5))
        return [
            (rows, np.float32(rarity) * counts / (counts + self._norms[rows])) for rows, counts in entries if len(rows)
        ]
