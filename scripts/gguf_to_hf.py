"""Unpack quantised GGUF weights into a folder that vLLM, transformers and trainers load.

    python scripts/gguf_to_hf.py qwen2.5-coder-0.5b FOLDER

The weights must be here (`deepagent models pull NAME`). The folder appears only when it is complete.
"""

import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from deepagent.models import weights


def convert(name: str, place: Path) -> None:
    """Write tokenizer, chat template and bfloat16 weights."""
    file = weights.path(name)
    partial = place.with_name(place.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(partial)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(partial)
    partial.rename(place)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target = Path(sys.argv[2])
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        convert(sys.argv[1], target)
