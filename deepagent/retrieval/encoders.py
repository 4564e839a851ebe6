"""Encoders: what turns a text into a vector."""

from __future__ import annotations

import functools
import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from deepagent.errors import UsageError, WeightsError
from deepagent.retrieval.text import words
from deepagent.retrieval.threads import patient_openmp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float32]
    Vector: TypeAlias = NDArray[np.float32]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of texts that are done and the number of all texts."""


class Encoder(Protocol):
    """Turns texts into vectors whose inner product says how alike the texts are."""

    @property
    def name(self) -> str:
        """Identifies the vectors: equal names promise equal vectors for equal texts."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Matrix:
        """Return one float32 row of length 1 per text, shape (texts, dimension)."""
        ...


@runtime_checkable
class QueryEncoder(Encoder, Protocol):
    """An encoder that sees the parts of a query in one pass over the whole: they cost nothing more."""

    def encode_queries(self, queries: Sequence[Sequence[str]]) -> Matrix:
        """Return a row for each part of each query, one query after another, shape (parts, dimension).

        Args:
            queries: the parts of each; the first is the whole query.
        """
        ...


class SentenceEncoder:
    """A sentence-transformers model, read from a local folder on first use; never from the network.

    Args:
        folder: holds the model as sentence-transformers saves it, with its weights as safetensors.
    """

    _BATCH = 16
    _CHUNK = 256

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._loaded: Any = None

    @functools.cached_property
    def name(self) -> str:
        """Identifies the model by its weights, wherever they lie.

        Raises:
            WeightsError: the folder holds no weights.
        """
        files = sorted(self._folder.glob("*.safetensors"))
        if not files:
            raise WeightsError(
                f"no model weights (*.safetensors) in {self._folder}; fetch them, or use the hash encoder"
            )
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return f"sentence-transformers:{digest.hexdigest()[:16]}"

    @property
    def dimension(self) -> int:
        """Length of a vector (384 for MiniLM)."""
        return int(self._model.get_embedding_dimension())

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Matrix:
        """Return one normalised row per text."""
        import numpy as np

        vectors = np.zeros((len(texts), self.dimension), np.float32)
        # Texts of like length share a batch, so that little work is spent on padding.
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        for start in range(0, len(order), self._CHUNK):
            rows = order[start : start + self._CHUNK]
            vectors[rows] = self._encode_chunk([texts[row] for row in rows])
            if progress:
                progress(start + len(rows), len(order))
        return vectors

    def _encode_chunk(self, texts: list[str]) -> Matrix:
        # One thread at a time: the tokenizer refuses to be used by two.
        with self._lock:
            vectors: Matrix = self._model.encode(
                texts, batch_size=self._BATCH, normalize_embeddings=True, show_progress_bar=False
            )
        return vectors

    @property
    def _model(self) -> Any:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self._folder, self.name)
            return self._loaded


def _load(folder: Path, name: str) -> Any:
    try:
        with patient_openmp():
            from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise UsageError(f"{folder} needs {error.name} to be read: pip install 'deepagent[train]'") from error

    try:
        with quiet_transformers():
            return SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{folder} ({name}) is not a sentence-transformers model: {reason}; fetch it again"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the progress bars of `transformers` off the user's terminal."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class HashEncoder:
    """Vectors from hashed pieces of words (3 to 5 letters): no weights, no meaning, only spelling.

    For tests, and where no weights can be had. It forgives endings and typing errors but knows no synonyms.
    Recall@5 of whole searches on ToolBench (3,225 tools, 800 queries): 64 with it, 71 with MiniLM, 65 by words alone.

    Args:
        dimension: length of a vector.
    """

    def __init__(self, dimension: int = 256) -> None:
        if dimension < 1:
            raise UsageError(f"a vector needs at least one dimension, not {dimension}")
        self._dimension = dimension

    @property
    def name(self) -> str:
        """Identifies the hash and its size."""
        return f"hash:{self._dimension}"

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Matrix:
        """Return one normalised row per text; a text without words is all zeros."""
        import numpy as np

        pieces = functools.cache(self._pieces)
        vectors = np.zeros((len(texts), self._dimension), np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                for place, sign in pieces(word):
                    vectors[row, place] += sign
            if progress:
                progress(row + 1, len(texts))
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        length[length == 0] = 1
        vectors /= length
        return vectors

    def _pieces(self, word: str) -> list[tuple[int, float]]:
        """Where a word's pieces go and with which sign (signs let collisions cancel rather than add up)."""
        framed = f"<{word}>"
        parts = {framed} | {framed[i : i + n] for n in (3, 4, 5) for i in range(len(framed) - n + 1)}
        hashes = [zlib.crc32(part.encode()) for part in sorted(parts)]
        return [((value >> 1) % self._dimension, 1.0 if value & 1 else -1.0) for value in hashes]
