"""A part of an index that never changes: some tools with their vectors and words."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from deepagent.errors import ToolDefinitionError
from deepagent.retrieval.dense import DenseIndex
from deepagent.retrieval.embedding import DIGEST, digest
from deepagent.retrieval.entries import Entry, entry_of
from deepagent.retrieval.finders import Finders, found, needed
from deepagent.retrieval.lexical import Postings
from deepagent.retrieval.strings import Strings
from deepagent.tools import ToolSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepagent.retrieval.encoders import Matrix

    Digests = NDArray[np.uint8]

_COMPRESSION = 6


class Record(NamedTuple):
    """A tool that is ready to be put into a segment: its entry as compressed JSON, since schemas are long."""

    name: bytes
    toolset: bytes
    text: str
    needs: frozenset[str]
    finds: frozenset[str]
    digest: bytes
    packed: bytes

    @classmethod
    def of(cls, entry: Entry, digest: bytes, packed: bytes) -> Self:
        """The record of an entry."""
        name, toolset, own = entry.spec.name.encode(), entry.spec.toolset.encode(), entry.own
        return cls(name, toolset, entry.text, needed(own), found(own), digest, packed)


def record_of(tool: ToolSpec | Entry | Record) -> Record:
    """The tool as a record.

    Raises:
        ToolDefinitionError: its schema cannot be written as JSON.
    """
    if isinstance(tool, Record):
        return tool
    entry = entry_of(tool)
    line = entry.line()
    return Record.of(entry, digest(line), zlib.compress(line, _COMPRESSION))


def records_of(tools: Iterable[ToolSpec | Entry | Record]) -> list[Record]:
    """The records of tools, in order of their names. The tools themselves are not kept: there may be very many.

    Raises:
        ToolDefinitionError: two tools have the same name, or a schema cannot be written as JSON.
    """
    made = [record_of(tool) for tool in tools]
    repeated = [name for name, count in Counter(record.name for record in made).items() if count > 1]
    if repeated:
        more = f" and {len(repeated) - 5} more" if len(repeated) > 5 else ""
        names = ", ".join(repr(name.decode()) for name in sorted(repeated)[:5])
        raise ToolDefinitionError(f"several tools are called {names}{more}; give each tool its own name")
    return sorted(made)


@dataclass(frozen=True)
class Segment:
    """Some tools, in order of their names.

    Attributes:
        names: the tools' names.
        entries: their entries as compressed JSON.
        digests: what identifies each entry, shape (tools, 16).
        texts: what identifies the text of each, shape (tools, 16).
        toolsets: the names of all toolsets, ascending.
        toolset: which of them each tool belongs to, shape (tools,).
        finders: which of them find what others need.
        postings: the words of their texts.
        dense: the vectors of their texts.
    """

    names: Strings
    entries: Strings
    digests: Digests
    texts: Digests
    toolsets: Strings
    toolset: NDArray[np.int32]
    finders: Finders
    postings: Postings
    dense: DenseIndex

    @classmethod
    def of(cls, records: list[Record], vectors: Matrix) -> Segment:
        """Put records and their vectors together."""
        import numpy as np

        texts = [record.text for record in records]
        toolsets = sorted({record.toolset for record in records})
        numbers = {name: number for number, name in enumerate(toolsets)}
        return cls(
            Strings.of(record.name for record in records),
            Strings.of(record.packed for record in records),
            _digests([record.digest for record in records]),
            _digests([digest(text) for text in texts]),
            Strings.of(toolsets),
            np.array([numbers[record.toolset] for record in records], np.int32),
            Finders.of(
                [record.toolset for record in records],
                [record.needs for record in records],
                [record.finds for record in records],
            ),
            Postings.of(texts),
            DenseIndex(vectors),
        )

    def __len__(self) -> int:
        return len(self.names)

    def entry(self, row: int) -> Entry:
        """The entry in a row."""
        return Entry.model_validate_json(zlib.decompress(self.entries[row]))

    def record(self, row: int) -> Record:
        """The record in a row, to be put into another segment."""
        return Record.of(self.entry(row), self.digests[row].tobytes(), self.entries[row])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything but the vectors, as arrays by name."""
        words, finders = self.postings, self.finders
        strings = {"names": self.names, "entries": self.entries, "toolsets": self.toolsets, "words": words.vocabulary}
        strings |= {"needs": finders.needs, "finds": finders.keys}
        made: dict[str, NDArray[Any]] = {}
        for name, value in strings.items():
            made[name], made[f"{name}-ends"] = value.data, value.ends
        made |= {"digests": self.digests, "texts": self.texts, "toolset": self.toolset}
        made |= {"finders-starts": finders.starts, "finders": finders.rows}
        return made | {"starts": words.starts, "rows": words.rows, "counts": words.counts, "lengths": words.lengths}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], dense: DenseIndex) -> Segment:
        """The opposite of `arrays`.

        Raises:
            ValueError: they do not fit together, or one is of another type.
        """
        import numpy as np

        def strings(name: str) -> Strings:
            made = Strings(_typed(arrays, name, np.uint8), _typed(arrays, f"{name}-ends", np.int64))
            made.check()
            return made

        postings = Postings(
            strings("words"),
            _typed(arrays, "starts", np.int64),
            _typed(arrays, "rows", np.int32),
            _typed(arrays, "counts", np.uint16),
            _typed(arrays, "lengths", np.int32),
        )
        finders = Finders(
            strings("needs"),
            strings("finds"),
            _typed(arrays, "finders-starts", np.int64),
            _typed(arrays, "finders", np.int32),
        )
        made = cls(
            strings("names"),
            strings("entries"),
            _typed(arrays, "digests", np.uint8, 2),
            _typed(arrays, "texts", np.uint8, 2),
            strings("toolsets"),
            _typed(arrays, "toolset", np.int32),
            finders,
            postings,
            dense,
        )
        count = len(dense)
        columns = (made.names, made.entries, made.digests, made.texts, made.toolset, finders, postings)
        ends = {len(postings.starts) - len(postings.vocabulary), len(finders.starts) - len(finders.keys)}
        if {len(column) for column in columns} != {count} or ends != {1}:
            raise ValueError("its files are of different lengths")
        return made


def _digests(digests: list[bytes]) -> Digests:
    import numpy as np

    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), DIGEST)


def _typed(arrays: Mapping[str, NDArray[Any]], name: str, kind: Any, dimensions: int = 1) -> Any:
    array = arrays[name]
    if array.dtype != kind or array.ndim != dimensions:
        raise ValueError(f"{name} is of {array.dtype} in {array.ndim} dimensions")
    return array
