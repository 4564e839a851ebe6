"""LoRA adapters: one that peft made works alike in transformers and, converted, in the embedded engine."""

import json
from pathlib import Path

import pytest

from deepagent.cli.options import wearing
from deepagent.config import RunConfig
from deepagent.errors import UsageError, WeightsError
from deepagent.models import Sampling, open_model, weights
from deepagent.models.adapters import as_gguf, read_config, with_adapter
from deepagent.models.embedded import EmbeddedModel
from deepagent.transcript import Message, Window

SMALL = "smollm2-135m"
MESSAGES = [Message(role="user", content="Count from one to ten.")]


def test_an_adapter_is_part_of_the_word_for_a_model():
    settings = RunConfig(model="embedded:some")
    worn = wearing(settings, Path("out/model"))
    assert worn.model == "embedded:some#out/model"
    assert open_model(worn.model).name == "some#out/model"
    assert wearing(settings, None) is settings
    with pytest.raises(UsageError, match="--adapter"):
        wearing(worn, Path("another"))
    with pytest.raises(UsageError, match="--adapter"):
        wearing(RunConfig(model="http://127.0.0.1:1/v1"), Path("out/model"))


def test_what_training_leaves_is_told_apart_by_its_folder():
    assert with_adapter("base", Path("a/model")) != with_adapter("base", Path("b/model"))


def adapter(folder: Path, **config) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8} | config))
    return folder


def test_a_folder_without_a_lora_is_named(tmp_path: Path):
    for folder in (tmp_path / "none", adapter(tmp_path / "other", peft_type="IA3")):
        with pytest.raises(WeightsError, match=folder.name):
            read_config(folder)


def test_what_the_engine_has_no_place_for_is_refused(tmp_path: Path):
    with pytest.raises(WeightsError, match="use_dora"):
        as_gguf(adapter(tmp_path / "dora", use_dora=True), tmp_path / "base.gguf", tmp_path / "cache")


def test_a_damaged_adapter_and_unheard_of_weights_are_told_apart_from_crashes(tmp_path: Path):
    gguf = pytest.importorskip("gguf")
    numpy = pytest.importorskip("safetensors.numpy")
    folder, base = adapter(tmp_path / "lora"), tmp_path / "base.gguf"
    (folder / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(WeightsError, match=r"adapter_model\.safetensors is damaged"):
        as_gguf(folder, base, tmp_path / "cache")
    numpy.save_file({}, folder / "adapter_model.safetensors")
    writer = gguf.GGUFWriter(base, "unheard-of")
    for key in ("block_count", "attention.head_count", "attention.head_count_kv"):
        writer.add_uint32(f"unheard-of.{key}", 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(WeightsError, match=r"does not fit base\.gguf: KeyError: 'unheard-of'"):
        as_gguf(folder, base, tmp_path / "cache")


@pytest.mark.weights
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
async def test_the_engine_computes_with_it_what_transformers_does(tmp_path: Path):
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    peft = pytest.importorskip("peft", reason="needs the extra `train`")
    import torch
    from transformers import AutoModelForCausalLM

    try:
        file = weights.path(SMALL)
    except WeightsError as missing:
        pytest.skip(str(missing))
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    worn = peft.get_peft_model(network, config)  # random pairs, so that it changes everything
    worn.save_pretrained(tmp_path / "lora")

    async with EmbeddedModel(SMALL, context=512, turns=False, threads=1, adapter=tmp_path / "lora") as model:
        window = Window(MESSAGES, [await model.prompt(MESSAGES)])
        segment = (await model.generate(window, Sampling(max_tokens=16, temperature=0, logprobs=True))).segment
    start = len(window.token_ids)
    ids = torch.tensor([[*window.token_ids, *segment.token_ids]])

    def apart() -> float:
        """Mean distance between the engine's log-probabilities and those of the network as it is now."""
        with torch.inference_mode():
            table = worn(input_ids=ids).logits[0].log_softmax(-1)
        drawn = [float(table[start + at - 1, token]) for at, token in enumerate(segment.token_ids)]
        return sum(abs(a - b) for a, b in zip(drawn, segment.logprobs, strict=True)) / len(drawn)

    with_it = apart()
    with worn.disable_adapter():
        without = apart()
    assert with_it < 0.2  # the engine computes with 8 bits
    assert without > 10 * with_it


@pytest.mark.weights
async def test_an_adapter_of_another_model_is_refused(tmp_path: Path):
    pytest.importorskip("gguf")
    numpy = pytest.importorskip("safetensors.numpy")
    import numpy as np

    try:
        file = weights.path(SMALL)
    except WeightsError as missing:
        pytest.skip(str(missing))
    folder = adapter(tmp_path / "lora")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    numpy.save_file({name: np.zeros((4, 9), dtype="float32")}, folder / "adapter_model.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        as_gguf(folder, file, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
