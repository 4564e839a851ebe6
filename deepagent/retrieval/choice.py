"""Which encoder: by name, by folder, or a plugin's; for an index on disk, the one that made it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from deepagent import plugins
from deepagent.errors import UsageError
from deepagent.retrieval.encoders import Encoder, HashEncoder, SentenceEncoder
from deepagent.retrieval.index import ToolIndex
from deepagent.retrieval.onnx import MODEL, OnnxEncoder
from deepagent.retrieval.storage import read_manifest

TUNED = "minilm-tools"
"""The encoder that comes with the package: MiniLM tuned on tool search. See `weights/minilm-tools/MODEL_CARD.md`."""

ENCODERS = (TUNED, "hash")
"""Encoders that are there without any download."""


def known_encoder(name: str) -> bool:
    """Whether an encoder is called so, or lies in a folder of this path."""
    return name in ENCODERS or plugins.find("encoders", name) is not None or Path(name).is_dir()


def open_encoder(name: str = TUNED) -> Encoder:
    """Return an encoder. Its weights are read when the first text is encoded.

    Args:
        name: one of `ENCODERS`; the name of a plugin; or a folder as `deepagent train retriever` or
            sentence-transformers writes it (the latter needs the extra `train`).

    Raises:
        UsageError: there is none of this name.
    """
    if name == "hash":
        return HashEncoder()
    if name == TUNED:
        return OnnxEncoder(Path(str(resources.files("deepagent.retrieval"))) / "weights" / TUNED)
    if plugin := plugins.find("encoders", name):
        made: Encoder = plugin.make()
        return made
    folder = Path(name)
    if not folder.is_dir():
        names = plugins.known("encoders", ENCODERS)
        raise UsageError(f"no encoder is called {name!r}, and it is no folder either; known are {names}")
    return OnnxEncoder(folder) if (folder / MODEL).is_file() else SentenceEncoder(folder)


def open_index(folder: Path, encoder: str | None = None) -> ToolIndex:
    """Open an index with the encoder that is named, or with the one of ours that made it.

    Raises:
        UsageError: there is no such encoder.
        IndexFormatError: there is no index, it is damaged, or another encoder made it.
    """
    if encoder is None:
        encoder = "hash" if read_manifest(folder).encoder == HashEncoder().name else TUNED
    return ToolIndex.open(folder, open_encoder(encoder))
