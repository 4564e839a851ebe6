"""Whole training runs from the command line: killed and resumed, with an adapter, in two processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from deepagent.cli.main import app

pytestmark = pytest.mark.heavy
pytest.importorskip("trl", reason="needs the extra `train`")

RECIPE = """
policy: {{context: 2048, tiny: {{vocabulary: 500, hidden: 64, layers: 1}}{lora}}}
agent: {{encoder: hash, execute: false, fold: null, limits: {{actions: 4}}, sampling: {{max_tokens: 12}}}}
sft:
  tasks: {{benchmark: lookup, settings: {{split: train, tasks: 8, seed: 1}}}}
  trainer: {{num_train_epochs: 1, per_device_train_batch_size: 4, learning_rate: 0.001, disable_tqdm: true}}
toolpo:
  tasks: {{benchmark: lookup, settings: {{split: train, tasks: 8, seed: 2}}}}
  sampling: {{temperature: 1.0, max_tokens: 12}}
  group: 2
  trainer:
    {{max_steps: 4, per_device_train_batch_size: 2, gradient_accumulation_steps: 2, learning_rate: 0.001,
      save_steps: 1, save_total_limit: 8, disable_tqdm: true}}
"""


def recipe(folder: Path, lora: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(lora=lora))
    return path


def command(stage: str, config: Path, output: Path, *more: str) -> list[str]:
    arguments = ["train", stage, "--config", str(config), "--out", str(output), *more]
    return [sys.executable, str(Path(sys.executable).with_name("deepagent")), *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


def test_a_run_that_is_killed_reaches_the_same_weights(tmp_path: Path):
    config = recipe(tmp_path)
    for output in ("whole", "killed"):
        subprocess.run(command("sft", config, tmp_path / output), check=True, env=environment())
    subprocess.run(command("toolpo", config, tmp_path / "whole"), check=True, env=environment())

    place = tmp_path / "killed"
    with subprocess.Popen(command("toolpo", config, place), env=environment()) as running:
        while not (place / "toolpo" / "checkpoint-2" / "trainer_state.json").is_file():
            assert running.poll() is None, "it ended before it could be killed"
        running.send_signal(signal.SIGKILL)
    subprocess.run(command("toolpo", config, place, "--resume"), check=True, env=environment())

    whole, resumed = weights(tmp_path / "whole"), weights(place)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_an_adapter_is_trained_by_sft_and_further_by_toolpo(tmp_path: Path):
    config = recipe(tmp_path, lora=", lora: {rank: 4, alpha: 8}")
    for stage in ("sft", "toolpo"):
        subprocess.run(command(stage, config, tmp_path / "out"), check=True, env=environment())
    assert (tmp_path / "out" / "model" / "adapter_config.json").is_file()
    assert not (tmp_path / "out" / "model" / "model.safetensors").exists()


def test_two_processes_agree(tmp_path: Path):
    config = recipe(tmp_path)
    subprocess.run(command("sft", config, tmp_path / "out"), check=True, env=environment())
    launched = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29511"]
    launched += command("toolpo", config, tmp_path / "out")[1:]
    subprocess.run(launched, check=True, env=environment() | {"ACCELERATE_USE_CPU": "1"}, timeout=600)
    assert weights(tmp_path / "out")


def test_a_setting_that_trl_does_not_know_is_named(tmp_path: Path):
    config = recipe(tmp_path)
    config.write_text(config.read_text().replace("max_steps: 4", "max_stepps: 4"))
    result = CliRunner().invoke(app, ["train", "toolpo", "--config", str(config), "--out", str(tmp_path / "out")])
    assert "max_stepps" in str(result.exception)
