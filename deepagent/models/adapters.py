"""LoRA adapters of peft's, for engines that want them in another shape.

llama.cpp's engines take a GGUF file of the pairs A and B under its own tensor names. What only peft knows (DoRA, ranks
that differ, whole layers beside the pairs) has no place there and is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from deepagent.errors import UsageError, WeightsError
from deepagent.tools import told

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_BEYOND = (
    "use_dora",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "lora_bias",
    "trainable_token_indices",
)


def with_adapter(name: str, adapter: Path | None) -> str:
    """A model's name with its adapter's: what training leaves is always called `model`, so its folder counts too."""
    return name if adapter is None else f"{name}#{'/'.join(adapter.absolute().parts[-2:])}"


def read_config(folder: Path) -> dict[str, Any]:
    """What peft wrote about an adapter.

    Raises:
        WeightsError: the folder holds no LoRA adapter.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} holds no adapter: give the folder with {CONFIG}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA" or not isinstance(config.get("r"), int):
        raise WeightsError(f"{folder} holds an adapter that is no LoRA")
    return config


def as_gguf(folder: Path, base: Path, cache: Path) -> Path:
    """The adapter as llama.cpp takes it; made once and kept.

    Args:
        folder: as peft writes it.
        base: GGUF file of the weights that it is put on.
        cache: folder to keep it in.

    Raises:
        UsageError: a package is not installed.
        WeightsError: the adapter cannot be read, does not fit these weights, or holds what llama.cpp has no place for.
    """
    config = read_config(folder)
    beyond = [name for name in _BEYOND if config.get(name)]
    if beyond:
        raise WeightsError(f"{folder}: the embedded engine cannot use {', '.join(beyond)}: train without, or merge it")
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise WeightsError(f"{folder}: {WEIGHTS} cannot be read: {error.strerror}") from error
    scale = json.dumps([config["r"], config.get("lora_alpha"), config.get("use_rslora"), base.name])
    file = cache / f"{hashlib.sha256(content + scale.encode()).hexdigest()[:24]}.gguf"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        try:
            _write(content, config, base, partial)
            partial.rename(file)
        except (KeyError, ValueError) as error:
            raise WeightsError(f"the adapter in {folder} does not fit {base.name}: {told(error)}") from error
        finally:
            partial.unlink(missing_ok=True)
    return file


def _write(content: bytes, config: dict[str, Any], base: Path, file: Path) -> None:
    try:
        import gguf
        from safetensors import SafetensorError
        from safetensors.numpy import load
    except ImportError as error:
        raise UsageError(f"adapters need {error.name}: pip install 'deepagent[train]'") from error
    try:
        pairs = load(content)
    except SafetensorError as error:
        raise ValueError(f"{WEIGHTS} is damaged ({error})") from error
    about = gguf.GGUFReader(base)
    arch = str(_told_by(about, "general.architecture"))
    blocks = int(_told_by(about, f"{arch}.block_count"))
    heads = {
        "q_proj": int(_told_by(about, f"{arch}.attention.head_count")),
        "k_proj": int(_told_by(about, f"{arch}.attention.head_count_kv")),
    }
    kind = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[arch]
    names = gguf.get_tensor_name_map(kind, blocks)
    shapes = {tensor.name: tuple(reversed(tensor.shape.tolist())) for tensor in about.tensors}
    rank, alpha = config["r"], float(config.get("lora_alpha", config["r"]))
    writer = gguf.GGUFWriter(file, arch)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    # The engine scales by alpha / rank; rank-stabilised adapters are made for alpha / sqrt(rank).
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha * math.sqrt(rank) if config.get("use_rslora") else alpha)
    for name, values in pairs.items():
        module, _, side = name.removeprefix(_PREFIX).removesuffix(".weight").rpartition(".lora_")
        ours = names.get_name(module)
        if side not in ("A", "B") or ours is None or f"{ours}.weight" not in shapes:
            raise ValueError(f"there is no place for {name}")
        outer, inner = shapes[f"{ours}.weight"]
        if values.shape != ((rank, inner) if side == "A" else (outer, rank)):
            raise ValueError(f"{name} has the shape {values.shape}, the weights {(outer, inner)}")
        last = module.rpartition(".")[2]
        turned = side == "B" and arch == "llama" and last in heads
        rows = _interleaved(values, heads[last]) if turned else values
        writer.add_tensor(f"{ours}.weight.lora_{side.lower()}", rows.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _told_by(reader: Any, key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise ValueError(f"the weights do not tell their {key}")
    return field.contents()


def _interleaved(rows: Any, heads: int) -> Any:
    """Rows in the order in which llama.cpp keeps Llama's queries and keys: halves of a head's rotation side by side."""
    return rows.reshape(heads, 2, -1, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)
