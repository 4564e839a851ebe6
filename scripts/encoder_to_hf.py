"""Unpack an encoder's weights of eight bits into a folder that `deepagent train retriever --base` goes on from.

    python scripts/encoder_to_hf.py ENCODER FOLDER

ENCODER is a folder with `model.onnx` that was trained from all-MiniLM-L6-v2, which must be here (`deepagent models pull
all-minilm-l6-v2`) and gives what training left as it was: embeddings, tokenizer, configuration.
"""

import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import onnx
import torch
from onnx.numpy_helper import to_array
from transformers import AutoModel

from deepagent.models import weights
from deepagent.retrieval.encoders import quiet_transformers
from deepagent.retrieval.onnx import MODEL, TOKENIZER

_BASE = "all-minilm-l6-v2"


def convert(encoder: Path, place: Path) -> None:
    """Write weights, configuration and tokenizer."""
    base = weights.path(_BASE)
    with quiet_transformers():
        network = AutoModel.from_pretrained(base, add_pooling_layer=False)
        missing = network.load_state_dict(unpacked(encoder / MODEL), strict=False).missing_keys
        if wrong := [name for name in missing if not name.startswith("embeddings.")]:
            sys.exit(f"{encoder} holds no weights for {', '.join(wrong)}")
        network.save_pretrained(place)
    shutil.copy(base / TOKENIZER, place)


def unpacked(path: Path) -> dict[str, torch.Tensor]:
    """The parameters of the layers by the names that PyTorch gives them: what is rounded, and what is not."""
    graph = onnx.load(str(path)).graph
    stored = {one.name: torch.tensor(to_array(one)) for one in graph.initializer}
    exact = {name for name in stored if name.endswith((".weight", ".bias"))}
    found = {name.removeprefix("network."): stored[name] for name in exact}
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            values, scales = (stored[name] for name in node.input[1:])
            parameter = node.name.removeprefix("/network/").removesuffix("/MatMul_Q8").replace("/", ".")
            found[f"{parameter}.weight"] = ((values.float() - 128) * scales.unsqueeze(-1)).flatten(1)
    return found


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    convert(*map(Path, sys.argv[1:]))
