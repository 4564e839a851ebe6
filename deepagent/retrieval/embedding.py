"""Vectors of many texts: none is computed twice, and none is lost when the work is broken off."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from deepagent.errors import OperatorError, UsageError
from deepagent.retrieval.encoders import QueryEncoder

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Encoder, Matrix, Progress, Vector

DIGEST = 16
"""Bytes of a digest."""

Known: TypeAlias = "Callable[[bytes], Vector | None]"
"""The vector of the text with this digest, where it is known."""

_CHUNK = 1024
"""Texts that are encoded and kept at a time: what a kill can cost."""

_ASKED = 500


def digest(text: str | bytes) -> bytes:
    """What identifies a text."""
    return hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=DIGEST).digest()


class Journal:
    """Vectors that were computed for an index which is not finished yet: a SQLite file, sound after a kill.

    Args:
        database: the open file.
        encoder: name of the encoder; vectors of other encoders are not seen.
    """

    def __init__(self, database: sqlite3.Connection, encoder: str) -> None:
        self._database, self._encoder = database, encoder
        database.execute("CREATE TABLE IF NOT EXISTS vectors (encoder, digest, vector, PRIMARY KEY (encoder, digest))")

    def read(self, digests: Sequence[bytes]) -> dict[bytes, Vector]:
        """Those of the vectors that are here, by digest."""
        import numpy as np

        found: dict[bytes, Vector] = {}
        for start in range(0, len(digests), _ASKED):
            asked = digests[start : start + _ASKED]
            marks = ",".join("?" * len(asked))
            query = f"SELECT digest, vector FROM vectors WHERE encoder = ? AND digest IN ({marks})"  # noqa: S608
            for key, vector in self._database.execute(query, (self._encoder, *asked)):
                found[key] = np.frombuffer(vector, np.float32)
        return found

    def write(self, digests: Sequence[bytes], vectors: Matrix) -> None:
        """Keep vectors."""
        rows = [(self._encoder, key, vector.tobytes()) for key, vector in zip(digests, vectors, strict=True)]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)


@contextmanager
def open_journal(path: Path, encoder: Encoder) -> Iterator[Journal]:
    """Open the journal at a path; what cannot be read any more is begun anew. It stays until it is removed.

    Raises:
        OperatorError: it cannot be written.
    """
    try:
        if not _sound(path):
            for one in (path, path.with_name(f"{path.name}-journal")):
                one.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database:
            yield Journal(database, encoder.name)
    except sqlite3.Error as error:
        raise OperatorError(
            f"vectors cannot be kept in {path}: {error}; free some space, or choose another folder"
        ) from error


def _sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        try:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False


def embed(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    known: Known = lambda key: None,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """Return one row per text, each different text encoded at most once.

    Args:
        texts: what to encode.
        encoder: encodes it.
        known: where vectors may be known already.
        journal: where vectors are kept while the work goes on, and looked up when it goes on after a break.
        progress: called with the number of texts encoded and the number that have to be; not at all if there are none.

    Raises:
        UsageError: the encoder returned something that is no vector.
    """
    import numpy as np

    digests = [digest(text) for text in texts]
    rows: dict[bytes, list[int]] = {}
    for row, key in enumerate(digests):
        rows.setdefault(key, []).append(row)
    vectors = np.zeros((len(texts), encoder.dimension), np.float32)
    missing = []
    for key, places in rows.items():
        vector = known(key)
        if vector is None:
            missing.append(key)
        else:
            vectors[places] = vector
    kept = journal.read(missing) if journal is not None else {}
    for key, vector in kept.items():
        vectors[rows[key]] = vector
    # Texts of like length are encoded together, so that little work is spent on padding.
    new = sorted((key for key in missing if key not in kept), key=lambda key: -len(texts[rows[key][0]]))
    for start in range(0, len(new), _CHUNK):
        keys = new[start : start + _CHUNK]

        def told(done: int, _: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, len(new))

        told(0, 0)
        encoded = checked(encoder, [texts[rows[key][0]] for key in keys], told)
        for key, vector in zip(keys, encoded, strict=True):
            vectors[rows[key]] = vector
        if journal is not None:
            journal.write(keys, encoded)
    return vectors


def checked(encoder: Encoder, texts: Sequence[str], progress: Progress | None = None) -> Matrix:
    """What the encoder makes of texts, if it is one finite row for each.

    Raises:
        UsageError: it is not.
    """
    return _sound_rows(encoder, texts, encoder.encode(texts, progress=progress))


def encoded_queries(encoder: Encoder, queries: Sequence[Sequence[str]]) -> Matrix:
    """A row for each part of each query, one query after another.

    Args:
        encoder: sees parts within their query where it can, else one by one.
        queries: the parts of each; the first is the whole query.

    Raises:
        UsageError: the encoder returned something that is no vector.
    """
    texts = [part for parts in queries for part in parts]
    vectors = encoder.encode_queries(queries) if isinstance(encoder, QueryEncoder) else encoder.encode(texts)
    return _sound_rows(encoder, texts, vectors)


def _sound_rows(encoder: Encoder, texts: Sequence[str], encoded: Matrix) -> Matrix:
    import numpy as np

    if encoded.shape != (len(texts), encoder.dimension):
        raise UsageError(f"encoder {encoder.name} returned shape {encoded.shape} for {len(texts)} texts")
    sound = np.isfinite(encoded).all(axis=1)
    if not sound.all():
        text = texts[int(sound.argmin())]
        raise UsageError(
            f"encoder {encoder.name} returned a vector that is not finite for {text[:60]!r}; its weights are damaged"
        )
    return encoded
