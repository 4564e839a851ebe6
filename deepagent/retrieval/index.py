"""The tool index: finds the tools that a wish in plain words needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepagent.actions import Frozen
from deepagent.errors import IndexFormatError, InvalidArgumentsError, UsageError
from deepagent.retrieval import storage
from deepagent.retrieval.embedding import DIGEST, Journal, embed, encoded_queries, open_journal
from deepagent.retrieval.encoders import Encoder, Progress
from deepagent.retrieval.entries import Entry
from deepagent.retrieval.search import Searcher
from deepagent.retrieval.segment import Record, Segment, records_of
from deepagent.retrieval.storage import Part
from deepagent.retrieval.strings import encoded
from deepagent.retrieval.text import query_parts
from deepagent.tools import ToolSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepagent.retrieval.encoders import Matrix, Vector

    Rows = NDArray[np.intp]
    Mask = NDArray[np.bool_]

_SMALL = 1_000
_SHARE = 0.2
"""Changes are kept beside the index until they are more than this many tools and this share of them; then all is made
one again."""


class Hit(Frozen):
    """A tool that was found.

    Attributes:
        spec: the tool.
        id: what its catalogue calls it; its name where that gives no ids.
        score: how well it fits, between 0 and 1; comparable within one search only.
        dense: cosine of its text with the whole query.
        lexical: BM25 score of its text for the whole query.
    """

    spec: ToolSpec
    id: str
    score: float
    dense: float
    lexical: float


class ToolIndex:
    """Searchable descriptions of tools. Made by `build`, `updated` or `open`; it does not change afterwards.

    Args:
        parts: the segments of which it consists: one, and perhaps a small second one with later changes.
        encoder: turns queries into vectors.
    """

    def __init__(self, parts: Sequence[Part], encoder: Encoder) -> None:
        import numpy as np

        self._parts = list(parts)
        self._encoder = encoder
        self._firsts = [sum(len(part.segment) for part in parts[:number]) for number in range(len(parts))]
        self._alive: Mask | None = None
        total = sum(len(part.segment) for part in parts)
        if any(len(part.gone) for part in parts):
            self._alive = np.ones(total, bool)
            for part, first in zip(parts, self._firsts, strict=True):
                self._alive[part.gone + first] = False
        self._count = total if self._alive is None else int(self._alive.sum())
        self._searcher = Searcher([part.segment for part in parts], self._alive)

    @classmethod
    def build(
        cls,
        tools: Iterable[ToolSpec | Entry | Record],
        encoder: Encoder,
        *,
        previous: ToolIndex | None = None,
        journal: Journal | None = None,
        progress: Progress | None = None,
    ) -> ToolIndex:
        """Index these tools. The same tools make the same index, whatever their order.

        Args:
            tools: the tools; their names must differ.
            encoder: turns texts into vectors.
            previous: an older index by the same encoder. What has not changed since is taken from it; if nothing has,
                it is returned.
            journal: keeps vectors while the work goes on, so that it can be broken off and taken up again.
            progress: called with the number of texts encoded and the number that have to be; not at all for none.

        Raises:
            ToolDefinitionError: two tools have the same name, or a schema cannot be written as JSON.
            UsageError: `previous` was made by another encoder, or the encoder returns no finite vectors.
        """
        records = records_of(tools)
        if previous is None:
            return cls([_part(records, encoder, None, journal, progress)], encoder)
        if previous._encoder.name != encoder.name:
            raise UsageError(
                f"the previous index was made by {previous._encoder.name}, not {encoder.name}; leave it out"
            )
        known = {name: previous._digest(row) for name, row in previous._named()}
        changed = [record for record in records if known.pop(record.name, None) != record.digest]
        # What is left in `known` was there before and is not wanted any more.
        return previous._changed(changed, known, journal, progress, all_records=records)

    @classmethod
    def open(cls, folder: Path, encoder: Encoder) -> ToolIndex:
        """Read an index from disk. It stays there and is mapped into memory.

        Raises:
            IndexFormatError: it is missing, damaged, or made by another encoder or version.
        """
        return cls(storage.read(folder, encoder), encoder)

    @classmethod
    def build_in(
        cls,
        folder: Path,
        tools: Iterable[ToolSpec | Entry | Record],
        encoder: Encoder,
        *,
        progress: Progress | None = None,
    ) -> ToolIndex:
        """Build the index of a folder. What has not changed since the last time is not computed again.

        If the work is broken off, by a kill too, the old index stays, and the next call goes on where it was.

        Args:
            folder: where it is kept; made if need be.
            tools: the tools; their names must differ.
            encoder: turns texts into vectors.
            progress: called with the number of texts encoded and the number that have to be; not at all for none.

        Raises:
            ToolDefinitionError: two tools have the same name, or a schema cannot be written as JSON.
            OperatorError: another process builds there, or the folder cannot be written.
        """
        with storage.building(folder) as place:
            with open_journal(place, encoder) as journal:
                previous = cls._opened_before(folder, encoder)
                index = cls.build(tools, encoder, previous=previous, journal=journal, progress=progress)
                if index is not previous:
                    index.save(folder)
            place.unlink()
        return index

    @classmethod
    def _opened_before(cls, folder: Path, encoder: Encoder) -> ToolIndex | None:
        """The index that is there already, if it can be built upon."""
        try:
            return cls.open(folder, encoder)
        except IndexFormatError:
            # It is about to be replaced as a whole: what is wrong with it no longer matters.
            return None

    def updated(
        self,
        tools: Iterable[ToolSpec | Entry | Record] = (),
        *,
        without: Iterable[str] = (),
        progress: Progress | None = None,
    ) -> ToolIndex:
        """The index with some tools added or replaced, and some taken out. It finds what a new one would find.

        Args:
            tools: what to add; a tool of the same name is replaced.
            without: names of tools to take out; those that are not there are ignored.
            progress: as in `build`.

        Raises:
            ToolDefinitionError: two tools have the same name, or a schema cannot be written as JSON.
        """
        return self._changed(records_of(tools), (encoded(name) for name in without), None, progress)

    def _changed(
        self,
        upserts: list[Record],
        removed: Iterable[bytes],
        journal: Journal | None,
        progress: Progress | None,
        all_records: list[Record] | None = None,
    ) -> ToolIndex:
        """The index after a change; `all_records` are those of all its tools, where they are at hand."""
        import numpy as np

        base, *later = self._parts
        names = {record.name for record in upserts}
        leaving = {name for name in removed if name not in names and self._find(name) is not None}
        if not upserts and not leaving:
            return self
        replaced = names | leaving
        kept = [
            part.segment.record(row)
            for part in later
            for row, name in enumerate(part.segment.names)
            if name not in replaced
        ]
        rows = [row for name in replaced if (row := base.segment.names.find(name)) is not None]
        gone = np.unique(np.array([*base.gone, *rows], np.int32))
        if len(kept) + len(upserts) + len(gone) > max(_SMALL, _SHARE * len(base.segment)):
            records = all_records or self._all_records(without=replaced, plus=upserts)
            return ToolIndex([_part(records, self._encoder, self, journal, progress)], self._encoder)
        parts = [Part(base.segment, gone, base.files)]
        if kept or upserts:
            parts.append(_part(sorted([*kept, *upserts]), self._encoder, self, journal, progress))
        return ToolIndex(parts, self._encoder)

    def _all_records(self, *, without: set[bytes], plus: list[Record]) -> list[Record]:
        kept = (self._record(row) for name, row in self._named() if name not in without)
        return sorted([*kept, *plus])

    def save(self, folder: Path) -> None:
        """Write the index; whoever opens the folder sees either the old index or the new one, even after a crash.

        Raises:
            OperatorError: the folder cannot be written.
        """
        self._parts = storage.write(folder, self._parts, self._encoder, self._encoder.dimension)

    def search(self, query: str, k: int = 5, *, toolset: str | None = None) -> list[Hit]:
        """Return the `k` tools that fit best, the best first; equal ones in order of their names.

        Args:
            query: what is needed, in plain words; only its first 4,000 characters are read.
            k: the most tools to return.
            toolset: search among the tools of this toolset alone.

        Raises:
            InvalidArgumentsError: the query is empty.
            UsageError: `k` is less than 1.
        """
        parts = checked_query(query, k)
        return self.search_encoded(parts, encoded_queries(self._encoder, [parts]), k, toolset=toolset)

    def search_encoded(self, parts: Sequence[str], vectors: Matrix, k: int, *, toolset: str | None = None) -> list[Hit]:
        """Search with the vectors of the query's parts, for those who encode several queries at once.

        Args:
            parts: what `checked_query` made of the query.
            vectors: the encoder's row for each of them.
            k: the most tools to return.
            toolset: search among the tools of this toolset alone.
        """
        hits = []
        for row, score, dense, lexical in self._searcher.search(parts, vectors, k, toolset):
            entry = self._entry(row)
            hits.append(Hit(spec=entry.spec, id=entry.known_as, score=score, dense=dense, lexical=lexical))
        return hits

    @property
    def names(self) -> Iterator[str]:
        """The names of all tools."""
        return (name.decode("utf-8", "surrogatepass") for name, _ in self._named())

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All tools, in order of their names. They are read from disk, which takes a while for very many."""
        return tuple(self._entry(row).spec for _, row in sorted(self._named()))

    def get(self, name: str) -> ToolSpec | None:
        """Return the tool of this name, if there is one."""
        entry = self.entry(name)
        return None if entry is None else entry.spec

    def entry(self, name: str) -> Entry | None:
        """Return the tool of this name with what is known of where it comes from, if there is one."""
        row = self._find(encoded(name))
        return None if row is None else self._entry(row)

    @property
    def encoder(self) -> Encoder:
        """What turns queries into vectors."""
        return self._encoder

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(encoded(name)) is not None

    def _find(self, name: bytes) -> int | None:
        for (segment, *_), first in zip(self._parts, self._firsts, strict=True):
            row = segment.names.find(name)
            if row is not None and (self._alive is None or self._alive[row + first]):
                return row + first
        return None

    def _named(self) -> Iterator[tuple[bytes, int]]:
        """The names of all tools with their rows, part by part."""
        for (segment, *_), first in zip(self._parts, self._firsts, strict=True):
            for row, name in enumerate(segment.names, first):
                if self._alive is None or self._alive[row]:
                    yield name, row

    def _at(self, row: int) -> tuple[Segment, int]:
        number = max(place for place, first in enumerate(self._firsts) if first <= row)
        return self._parts[number].segment, row - self._firsts[number]

    def _entry(self, row: int) -> Entry:
        segment, row = self._at(row)
        return segment.entry(row)

    def _record(self, row: int) -> Record:
        segment, row = self._at(row)
        return segment.record(row)

    def _digest(self, row: int) -> bytes:
        segment, row = self._at(row)
        return bytes(segment.digests[row])

    def _known_vectors(self) -> dict[bytes, tuple[Segment, int]]:
        """Where the vector of each text is, by the text's digest."""
        known: dict[bytes, tuple[Segment, int]] = {}
        for segment, *_ in self._parts:
            data = segment.texts.tobytes()
            for row in range(len(segment)):
                known[data[row * DIGEST : (row + 1) * DIGEST]] = segment, row
        return known


def checked_query(query: str, k: int) -> list[str]:
    """The parts of a query for `ToolIndex.search_encoded`.

    Raises:
        InvalidArgumentsError: the query is empty.
        UsageError: `k` is less than 1.
    """
    if k < 1:
        raise UsageError(f"a search returns at least one tool, so k must be 1 or more, not {k}")
    parts = query_parts(query)
    if not parts:
        raise InvalidArgumentsError("the search query is empty; say in plain words what the tool should do")
    return parts


def _part(
    records: list[Record],
    encoder: Encoder,
    previous: ToolIndex | None,
    journal: Journal | None,
    progress: Progress | None,
) -> Part:
    """A segment of its own; the vectors of texts that the previous index knows are taken from it."""
    import numpy as np

    where = previous._known_vectors() if previous is not None else {}

    def known(key: bytes) -> Vector | None:
        found = where.get(key)
        return None if found is None else found[0].dense.vectors[found[1]]

    texts = [record.text for record in records]
    vectors = embed(texts, encoder, known=known, journal=journal, progress=progress)
    return Part(Segment.of(records, vectors), np.zeros(0, np.int32))
