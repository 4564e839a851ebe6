"""Encoders that run on ONNX Runtime: small, quick to load, the same vectors every time."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepagent.errors import WeightsError

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Matrix, Progress, Vector

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"


class OnnxEncoder:
    """A sentence encoder as `deepagent train retriever` writes it.

    Each text is run alone: quantised models round by what shares their batch, and a text's vector must not depend on
    its neighbours. It costs nothing, since no time goes into padding. Several cores each take a text.

    Args:
        folder: holds `model.onnx` (takes `input_ids` and `attention_mask`, gives one vector of length 1 per text and,
            as a second output, the states of its tokens) and `tokenizer.json`, which says after how many tokens a text
            is cut.
    """

    _CHUNK = 256

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        self._pool: ThreadPoolExecutor | None = None

    @functools.cached_property
    def name(self) -> str:
        """Identifies the encoder by its weights and its tokenizer, wherever they lie.

        Raises:
            WeightsError: a file is missing.
        """
        digest = hashlib.sha256()
        for file in (MODEL, TOKENIZER):
            try:
                with (self._folder / file).open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
            except OSError as error:
                raise WeightsError(
                    f"{self._folder} holds no encoder: {file} cannot be read ({error.strerror}); "
                    "make one with `deepagent train retriever`, or use the one that comes along"
                ) from error
        return f"onnx:{digest.hexdigest()[:16]}"

    @functools.cached_property
    def dimension(self) -> int:
        """Length of a vector (384 for MiniLM)."""
        session, _ = self._model
        return int(session.get_outputs()[0].shape[-1])

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Matrix:
        """Return one normalised row per text."""
        import numpy as np

        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), self._CHUNK):
            chunk = texts[start : start + self._CHUNK]
            vectors[start : start + len(chunk)] = list(self._threads.map(self._encode, chunk))
            if progress:
                progress(start + len(chunk), len(texts))
        return vectors

    def encode_queries(self, queries: Sequence[Sequence[str]]) -> Matrix:
        """Return a row for each part of each query, one query after another.

        The states of a query's tokens are computed once. A part is the mean of those that are its own, so what
        surrounds it has its say; a part beyond the last token that is read is encoded by itself.
        """
        import numpy as np

        return np.concatenate(list(self._threads.map(self._encode_parts, queries)))

    def _encode_parts(self, parts: Sequence[str]) -> Matrix:
        import numpy as np

        session, tokenizer = self._model
        if len(parts) == 1 or len(session.get_outputs()) == 1:  # an encoder of an older version shows no states
            return np.array([self._encode(part) for part in parts])
        encoding = tokenizer.encode(parts[0])
        vectors, states = session.run(None, _inputs(encoding.ids))
        rows = [vectors[0]]
        for part in parts[1:]:
            span = part_tokens(parts[0], part, encoding.offsets)
            if span is None:
                rows.append(self._encode(part))
            else:
                mean = states[0, span].mean(axis=0)
                rows.append(mean / np.linalg.norm(mean))
        return np.array(rows)

    def _encode(self, text: str) -> Vector:
        import numpy as np

        session, tokenizer = self._model
        ids = tokenizer.encode(text).ids
        if not ids:  # some tokenizers frame no text with marks of their own
            return np.zeros(self.dimension, np.float32)
        vector: Vector = session.run([session.get_outputs()[0].name], _inputs(ids))[0][0]
        return vector

    @property
    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="encoder")
            return self._pool

    @property
    def _model(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self._folder, self.name)
            return self._loaded


def _inputs(ids: Sequence[int]) -> dict[str, Any]:
    import numpy as np

    row = np.array([ids], np.int64)
    return {"input_ids": row, "attention_mask": np.ones_like(row)}


def _load(folder: Path, name: str) -> tuple[Any, Any]:
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    # Threads of our own share the texts out; those of the runtime would only wait for each other.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # both libraries raise no narrower class for a file that is not theirs
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{folder} ({name}) is damaged, or no ONNX encoder: {reason}; make or fetch it again"
        ) from error
    return session, tokenizer


def part_tokens(whole: str, part: str, offsets: Sequence[tuple[int, int]]) -> slice | None:
    """Which tokens of a text are those of a part of it; None where it is not all in them.

    Args:
        whole: the text.
        part: what is looked for.
        offsets: first and last character of each token; equal for tokens that stand for no character.
    """
    first = whole.find(part)
    last = first + len(part)
    inside = [number for number, (start, end) in enumerate(offsets) if first <= start < end <= last]
    reached = max((end for _, end in offsets), default=0)
    return slice(inside[0], inside[-1] + 1) if first >= 0 and inside and last <= reached else None
