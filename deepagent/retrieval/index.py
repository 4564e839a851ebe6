"""The tool index: finds the tools that a wish in plain words needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from deepagent.actions import Frozen
from deepagent.errors import InvalidArgumentsError, ToolDefinitionError, UsageError
from deepagent.retrieval import storage
from deepagent.retrieval.dense import DenseIndex
from deepagent.retrieval.encoders import Encoder, Progress
from deepagent.retrieval.fusion import DEPTH, TIE, fuse, propose
from deepagent.retrieval.lexical import LexicalIndex
from deepagent.retrieval.text import query_parts, tool_text
from deepagent.tools import ToolSpec

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Matrix


class Hit(Frozen):
    """A tool that was found.

    Attributes:
        spec: the tool.
        score: how well it fits, between 0 and 1; comparable within one search only.
        dense: cosine of its text with the whole query.
        lexical: BM25 score of its text for the whole query.
    """

    spec: ToolSpec
    score: float
    dense: float
    lexical: float


class ToolIndex:
    """Searchable descriptions of tools. Made by `build` or `open`; it does not change afterwards.

    Args:
        specs: the tools, in order of their names.
        vectors: the encoder's row for each of them.
        encoder: turns queries into vectors.
    """

    def __init__(self, specs: Iterable[ToolSpec], vectors: Matrix, encoder: Encoder) -> None:
        self._specs = tuple(specs)
        self._rows = {spec.name: row for row, spec in enumerate(self._specs)}
        self._vectors = vectors
        self._encoder = encoder
        self._dense = DenseIndex(vectors)
        self._lexical = LexicalIndex([tool_text(spec) for spec in self._specs])

    @classmethod
    def build(
        cls,
        specs: Iterable[ToolSpec],
        encoder: Encoder,
        *,
        previous: ToolIndex | None = None,
        progress: Progress | None = None,
    ) -> ToolIndex:
        """Index these tools. The same tools make the same index, whatever their order.

        Args:
            specs: the tools; their names must differ.
            encoder: turns texts into vectors.
            previous: an older index by the same encoder; texts that it holds are not encoded again.
            progress: called with the number of texts encoded and the number that have to be.

        Raises:
            ToolDefinitionError: two tools have the same name.
            UsageError: `previous` was made by another encoder.
        """
        ordered = sorted(specs, key=lambda spec: spec.name)
        repeated = [name for name, count in Counter(spec.name for spec in ordered).items() if count > 1]
        if repeated:
            more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
            names = ", ".join(map(repr, repeated[:5]))
            raise ToolDefinitionError(f"several tools are called {names}{more}; give each tool its own name")
        return cls(ordered, _vectors([tool_text(spec) for spec in ordered], encoder, previous, progress), encoder)

    @classmethod
    def open(cls, folder: Path, encoder: Encoder) -> ToolIndex:
        """Read an index from disk. The vectors stay there and are mapped into memory.

        Raises:
            IndexFormatError: it is missing, damaged, or made by another encoder or version.
        """
        return cls(*storage.read(folder, encoder), encoder)

    def save(self, folder: Path) -> None:
        """Write the index; whoever opens the folder sees either the old index or the new one, even after a crash.

        Raises:
            ToolDefinitionError: a tool's schema cannot be written as JSON.
            OperatorError: the folder cannot be written.
        """
        storage.write(folder, self._specs, self._vectors, self._encoder)

    def search(self, query: str, k: int = 5) -> list[Hit]:
        """Return the `k` tools that fit best, the best first; equal ones in order of their names.

        Args:
            query: what is needed, in plain words; only its first 4,000 characters are read.
            k: the most tools to return.

        Raises:
            InvalidArgumentsError: the query is empty.
            UsageError: `k` is less than 1.
        """
        if k < 1:
            raise UsageError(f"a search returns at least one tool, so k must be 1 or more, not {k}")
        queries = query_parts(query)
        if not queries:
            raise InvalidArgumentsError("the search query is empty; say in plain words what the tool should do")
        if not self._specs:
            return []
        dense = self._dense.scores(self._encoder.encode(queries))
        lexical = self._lexical.scores(queries)
        rows = propose(dense, lexical, max(k, DEPTH))
        dense, lexical = dense[:, rows], lexical[:, rows]
        scores = fuse(dense, lexical)
        order = (-scores.round(TIE)).argsort(kind="stable")[:k]
        return [
            Hit(
                spec=self._specs[rows[place]],
                score=float(scores[place]),
                dense=float(dense[0, place]),
                lexical=float(lexical[0, place]),
            )
            for place in order
        ]

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All tools, in order of their names."""
        return self._specs

    def get(self, name: str) -> ToolSpec | None:
        """Return the tool of this name, if there is one."""
        row = self._rows.get(name)
        return None if row is None else self._specs[row]

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: object) -> bool:
        return name in self._rows


def _vectors(texts: list[str], encoder: Encoder, previous: ToolIndex | None, progress: Progress | None) -> Matrix:
    """One row per text, each different text encoded at most once."""
    import numpy as np

    known: dict[str, Matrix] = {}
    if previous is not None:
        if previous._encoder.name != encoder.name:
            raise UsageError(
                f"the previous index was made by {previous._encoder.name}, not {encoder.name}; leave it out"
            )
        known = {tool_text(spec): previous._vectors[row] for row, spec in enumerate(previous._specs)}
    new = [text for text in dict.fromkeys(texts) if text not in known]
    if new:
        encoded = encoder.encode(new, progress=progress)
        if encoded.shape != (len(new), encoder.dimension):
            raise UsageError(f"encoder {encoder.name} returned shape {encoded.shape} for {len(new)} texts")
        known.update(zip(new, encoded, strict=True))
    vectors = np.zeros((len(texts), encoder.dimension), np.float32)
    for row, text in enumerate(texts):
        vectors[row] = known[text]
    return vectors
