"""Which encoder: by name, by folder, or a plugin's."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from deepagent import plugins
from deepagent.errors import UsageError
from deepagent.retrieval.encoders import Encoder, HashEncoder, SentenceEncoder
from deepagent.retrieval.onnx import MODEL, OnnxEncoder

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
