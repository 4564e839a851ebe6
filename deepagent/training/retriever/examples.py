"""Examples: a query, the texts of tools that serve it, and of tools that look as if they did."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

from deepagent.retrieval import Encoder
from deepagent.retrieval.labelled import LabelledSet
from deepagent.retrieval.lexical import LexicalIndex
from deepagent.retrieval.text import query_parts

_PARTS = 6
_LOOKALIKES = 20
"""How many tools each kind of search proposes as lookalikes of a query's gold ones."""

_LIKELY_RIGHT = 2
"""How many of the first tools found in another catalogue are passed over: nobody labelled them, and they may serve."""


class Example(NamedTuple):
    """One query.

    Attributes:
        parts: the whole query, then its parts, as search splits it.
        golds: texts of the tools that serve it.
        lookalikes: texts of tools that do not, but that a search finds.
        strangers: texts of tools of other catalogues that a search finds.
    """

    parts: tuple[str, ...]
    golds: tuple[str, ...]
    lookalikes: tuple[str, ...]
    strangers: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: str, golds: Sequence[str], lookalikes: Sequence[str], strangers: Sequence[str] = ()) -> Self:
        """Split the query."""
        return cls(tuple(query_parts(query)[:_PARTS]), tuple(golds), tuple(lookalikes), tuple(strangers))


@dataclass(frozen=True)
class Pool:
    """Examples that belong together: of one catalogue.

    Attributes:
        examples: the examples.
        run: how many stand in a row when pools are mixed; 0 makes whole batches of this pool.
    """

    examples: Sequence[Example]
    run: int = 0


class Strangers:
    """What the words of a query find in other catalogues: what a tool must be told from once many share an index.

    By words alone: encoding a large catalogue takes longer than training.

    Args:
        texts: texts of tools.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = list(dict.fromkeys(texts))

    @cached_property
    def _words(self) -> LexicalIndex:
        """Made when it is asked: who trains on a catalogue alone never does."""
        return LexicalIndex.of(self._texts)

    def of(self, query: str) -> list[str]:
        """Texts of tools that look as if they served the query."""
        scores = self._words.scores([query])[0]
        best = (-scores).argsort(kind="stable")[_LIKELY_RIGHT : _LIKELY_RIGHT + _LOOKALIKES]
        return [self._texts[row] for row in best if scores[row] > 0]


def labelled_pool(labelled: LabelledSet, miner: Encoder, strangers: Strangers) -> Pool:
    """The queries of a labelled set; the lookalikes are what search by words and by meaning finds besides the golds.

    Args:
        labelled: the set, already cut to the half that may be trained on.
        miner: finds lookalikes by meaning.
        strangers: finds tools of other catalogues.
    """
    texts = [tool.text for tool in labelled.tools]
    row_of = {tool.known_as: row for row, tool in enumerate(labelled.tools)}
    words = LexicalIndex.of(texts)
    dense = miner.encode([query.query for query in labelled.queries]) @ miner.encode(texts).T
    examples = []
    for query, cosines in zip(labelled.queries, dense, strict=True):
        golds = tuple(dict.fromkeys(texts[row_of[tool]] for tool in sorted(query.gold)))
        found = [
            texts[row]
            for scores in (cosines, words.scores([query.query])[0])
            for row in (-scores).argsort(kind="stable")[:_LOOKALIKES]
        ]
        # Tools may share a text: a copy of a gold one is no lookalike.
        lookalikes = [text for text in dict.fromkeys(found) if text not in golds]
        examples.append(Example.of(query.query, golds, lookalikes, strangers.of(query.query)))
    return Pool([example for example in examples if example.parts])


def batches(pools: Sequence[Pool], size: int, made_up: float, draw: random.Random) -> list[list[Example]]:
    """One epoch: batches of about `size` examples, in random order.

    A batch is of one labelled set, or of runs from several catalogues: its tools are each other's wrong answers, and
    those of one catalogue are the hard ones.

    Args:
        pools: labelled sets, seen whole, and made-up wishes, of which each epoch draws others.
        size: queries in a batch.
        made_up: batches of made-up wishes for each labelled one; without labelled ones all wishes are seen.
        draw: what is drawn.
    """
    labelled: list[list[Example]] = []
    runs: list[list[Example]] = []
    for pool in pools:
        shuffled = draw.sample(pool.examples, len(pool.examples))
        if pool.run:
            runs += _pieces(shuffled, pool.run)
        else:
            labelled += _pieces(shuffled, size)
    draw.shuffle(runs)
    mixed: list[list[Example]] = [[]]
    for run in runs:
        if len(mixed[-1]) >= size:
            mixed.append([])
        mixed[-1] += run
    if labelled:
        mixed = mixed[: round(made_up * len(labelled))]
    epoch = [batch for batch in labelled + mixed if batch]
    draw.shuffle(epoch)
    return epoch


def _pieces(examples: Sequence[Example], size: int) -> list[list[Example]]:
    """Even pieces of at most `size`: a small rest would make an easy batch."""
    count = -(-len(examples) // size)
    return [list(examples[start::count]) for start in range(count)]
