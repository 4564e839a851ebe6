"""Compare retrievers on a labelled set: by words, by meaning, and both fused as users search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from deepagent.actions import Frozen
from deepagent.evaluation.retrieval.measures import DEPTH, Measures, mean, measure
from deepagent.reranking import Reranker
from deepagent.retrieval import Encoder, ToolIndex
from deepagent.retrieval.embedding import encoded_queries
from deepagent.retrieval.fusion import TIE
from deepagent.retrieval.labelled import LabelledSet
from deepagent.retrieval.lexical import LexicalIndex
from deepagent.retrieval.text import query_parts

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Matrix, Progress, Vector

Retriever: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""Takes a query, returns ids of tools, the best first."""


class Row(Frozen):
    """How one retriever did on one set, or on a subset of it (empty: on all of it)."""

    set: str
    subset: str
    retriever: str
    measures: Measures


def retrievers(
    labelled: LabelledSet, encoder: Encoder, reranker: Reranker | None = None, progress: Progress | None = None
) -> dict[str, Retriever]:
    """Every way of searching these tools: `lexical` and `dense` see the whole query, `fused` is what users get.

    With a reranker also `reranked`: fused, and then what a model chooses comes first.
    """
    encoder = _Remembering(encoder)
    index = ToolIndex.build(labelled.tools, encoder, progress=progress)
    texts, ids = [tool.text for tool in labelled.tools], [tool.known_as for tool in labelled.tools]
    words, vectors = LexicalIndex.of(texts), encoder.encode(texts)

    async def lexical(query: str) -> Sequence[str]:
        return _best(words.scores(query_parts(query)[:1]), ids)

    async def dense(query: str) -> Sequence[str]:
        return _best(encoder.encode(query_parts(query)[:1]) @ vectors.T, ids)

    async def fused(query: str) -> Sequence[str]:
        return [hit.id for hit in index.search(query, DEPTH)]

    async def reranked(query: str) -> Sequence[str]:
        assert reranker is not None
        hits = index.search(query, DEPTH)
        return [hit.id for hit in await reranker.order(query, hits)]

    ways: dict[str, Retriever] = {"lexical": lexical, "dense": dense, "fused": fused}
    return ways if reranker is None else {**ways, "reranked": reranked}


async def compare(labelled: LabelledSet, ways: dict[str, Retriever]) -> AsyncIterator[Row]:
    """Measure each retriever on the whole set and, where it has several, on each subset."""
    for name, retriever in ways.items():
        measured = [(query.subset, measure(await retriever(query.query), query.gold)) for query in labelled.queries]
        for subset in ("", *labelled.subsets):
            chosen = [one for part, one in measured if subset in ("", part)]
            yield Row(set=labelled.name, subset=subset, retriever=name, measures=mean(chosen))


class _Remembering:
    """An encoder that encodes no text twice, since every retriever asks for the same ones."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Vector] = {}
        self._queries: dict[tuple[str, ...], Matrix] = {}

    @property
    def name(self) -> str:
        return self._encoder.name

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Matrix:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._encoder.encode(new, progress=progress), strict=True))
        return np.array([self._known[text] for text in texts], np.float32).reshape(len(texts), self.dimension)

    def encode_queries(self, queries: Sequence[Sequence[str]]) -> Matrix:
        asked = [tuple(parts) for parts in queries]
        for parts in asked:
            if parts not in self._queries:
                self._queries[parts] = encoded_queries(self._encoder, [parts])
        return np.concatenate([self._queries[parts] for parts in asked])


def _best(scores: Matrix, ids: Sequence[str]) -> list[str]:
    order = (-scores[0].round(TIE)).argsort(kind="stable")[:DEPTH]
    return [ids[row] for row in order]
