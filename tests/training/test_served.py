"""Rollouts from a server: which versions of the adapter it is given, when, and what it must be able to do."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deepagent.errors import ModelUnavailableError, TrainingError, UsageError
from deepagent.models.config import HttpConfig
from deepagent.training.recipe import Policy, Recipe, ToolPO
from deepagent.training.stages import run_toolpo
from tests.models.fake_server import Exchange, FakeServer

pytest.importorskip("trl", reason="needs the extra `train`")
from deepagent.training.served import ServedPolicy

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

RECIPE = """
policy: {{model: {model}, context: 4096, lora: {{rank: 4, alpha: 8}}}}
agent: {{encoder: hash, execute: false, fold: null, limits: {{actions: 2}}}}
toolpo:
  tasks: {{benchmark: lookup, settings: {{split: train, tasks: 8, seed: 2}}}}
  sampling: {{temperature: 1.0, max_tokens: 24}}
  group: 2
  server: {{kind: http, url: "{url}"}}
  trainer:
    {{max_steps: 2, per_device_train_batch_size: 2, gradient_accumulation_steps: 1, learning_rate: 0.001,
      report_to: tensorboard, save_strategy: "no", disable_tqdm: true}}
"""


class LoraServer(FakeServer):
    """vLLM with `--enable-lora`.

    Attributes:
        log: what it was asked, in order: (`load` or `unload` or `write`, name of the adapter).
        refusals: status and body by path, for what it does not do.
        logprobs: whether it reports them.
    """

    def __init__(self) -> None:
        # Replies differ by seed, so that there is something to learn.
        super().__init__("vllm", lambda body: f"<answer>{body.get('seed', 0) % 7}</answer>")
        self.log: list[tuple[str, str]] = []
        self.refusals: dict[str, tuple[int, Any]] = {}
        self.logprobs = True

    async def _route(self, exchange: Exchange) -> None:
        refusal = self.refusals.get(exchange.path.removeprefix("/v1/"))
        if refusal is not None:
            await exchange.answer(*refusal)
            return
        if exchange.path.endswith("/completions"):
            self.log.append(("write", exchange.body["model"]))
            if not self.logprobs:
                del exchange.body["logprobs"]
        await super()._route(exchange)

    def _vllm_v1_load_lora_adapter(self, body: Any) -> Any:
        assert (Path(body["lora_path"]) / "adapter_config.json").is_file()
        self.log.append(("load", body["lora_name"]))
        return "Success"

    def _vllm_v1_unload_lora_adapter(self, body: Any) -> Any:
        self.log.append(("unload", body["lora_name"]))
        return "Success"

    @property
    def versions(self) -> list[tuple[str, str]]:
        """The log with steps for names, and without repetitions."""
        told = [(what, name.partition("-step-")[2]) for what, name in self.log]
        return [one for one, before in zip(told, [None, *told], strict=False) if one != before]


class Network:
    """Peft's model, as far as a server is concerned."""

    def save_pretrained(self, folder: str) -> None:
        Path(folder).mkdir(parents=True)
        (Path(folder) / "adapter_config.json").write_text("{}")


@pytest.fixture
def server() -> Iterator[LoraServer]:
    """One that answers while the test keeps its own thread busy."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = LoraServer()
    try:
        asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result()
        yield made
        asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def served(url: str, folder: Path, context: int = 1024) -> ServedPolicy:
    return ServedPolicy(HttpConfig(kind="http", url=url, retries=0), Policy(context=context), folder)


def test_each_version_has_a_name_of_its_own_and_the_one_before_is_dropped(server: LoraServer, tmp_path: Path):
    with served(server.url, tmp_path / "adapters") as policy:
        first = policy(Network(), 0).name
        assert policy(Network(), 0).name == first
        second = policy(Network(), 1).name
        assert server.log == [("load", first), ("write", first), ("load", second), ("unload", first)]
        assert [folder.name for folder in (tmp_path / "adapters").iterdir()] == [second]
    assert server.log[4:] == [("unload", second)]
    assert not (tmp_path / "adapters").exists()
    with served(server.url, tmp_path / "adapters") as resumed:
        assert resumed(Network(), 1).name != second


@pytest.mark.parametrize(
    ("status", "said", "error", "remedy"),
    [
        (404, {"detail": "Not Found"}, TrainingError, "Not Found.*--enable-lora.*VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"),
        (400, {"error": {"message": "LoRA rank 64 is greater than"}}, TrainingError, "rank 64.*--max-lora-rank"),
        (401, {"error": "Unauthorized"}, ModelUnavailableError, "set `api_key`"),
    ],
)
def test_a_server_that_takes_no_adapter_is_told_of(
    server: LoraServer, tmp_path: Path, status: int, said: Any, error: type[Exception], remedy: str
):
    server.refusals["load_lora_adapter"] = (status, said)
    with served(server.url, tmp_path) as policy, pytest.raises(error, match=remedy):
        policy(Network(), 0)
    assert server.log == []


def test_a_server_that_is_not_there_is_told_of(tmp_path: Path):
    with served("http://127.0.0.1:9/v1", tmp_path) as policy, pytest.raises(ModelUnavailableError, match="running"):
        policy(Network(), 0)


def test_replies_without_log_probabilities_are_told_of_before_a_batch_is_made(server: LoraServer, tmp_path: Path):
    server.logprobs = False
    with served(server.url, tmp_path) as policy, pytest.raises(TrainingError, match="log-probabilities"):
        policy(Network(), 0)
    assert [what for what, _ in server.log] == ["load", "write", "unload"]


def test_a_window_that_is_too_small_is_told_of(server: LoraServer, tmp_path: Path):
    with (
        served(server.url, tmp_path, context=8192) as policy,
        pytest.raises(TrainingError, match=r"4096 tokens, the policy's 8192.*--max-model-len"),
    ):
        policy(Network(), 0)


def test_a_version_that_stays_loaded_does_not_end_training(
    server: LoraServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    server.refusals["unload_lora_adapter"] = (404, {"error": {"message": "no such adapter"}})
    with served(server.url, tmp_path) as policy:
        policy(Network(), 0)
        assert policy(Network(), 1).name.endswith("-step-1")
    assert caplog.text.count("stays loaded") == 2


def test_what_the_policy_decides_is_not_said_of_the_server():
    with pytest.raises(ValidationError, match="context, turns: the policy decides"):
        ToolPO(server=HttpConfig(kind="http", url="http://127.0.0.1:1/v1", turns=True, context=512))


def test_all_weights_cannot_be_given_to_a_server(tiny: Path, tmp_path: Path):
    part = ToolPO(server=HttpConfig(kind="http", url="http://127.0.0.1:9/v1"))
    with pytest.raises(UsageError, match="lora"):
        run_toolpo(Recipe(toolpo=part), tmp_path, say=str, begin=tiny)


def test_every_step_learns_from_what_the_adapter_of_that_step_wrote(server: LoraServer, tiny: Path, tmp_path: Path):
    pytest.importorskip("tensorboardX", reason="needs the extra `train`")
    recipe = _recipe(tiny, server.url, tmp_path)
    run_toolpo(recipe, tmp_path / "out", say=str)
    assert server.versions == [
        ("load", "0"), ("write", "0"), ("load", "1"), ("unload", "0"), ("write", "1"), ("unload", "1"),
    ]  # fmt: skip
    (events,) = (tmp_path / "out" / "toolpo").rglob("events.out.tfevents.*")
    for metric in ("rollouts/success", "rollouts/logprob_gap"):
        assert metric.encode() in events.read_bytes()


@pytest.mark.heavy
def test_processes_share_the_server_and_one_of_them_gives_it_the_adapter(
    server: LoraServer, tiny: Path, tmp_path: Path
):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(model=tiny, url=server.url))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29512"]
    command += [str(Path(sys.executable).with_name("deepagent")), "train", "toolpo"]
    command += ["--config", str(path), "--out", str(tmp_path / "out")]
    ours = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "1"}
    subprocess.run(command, check=True, env=os.environ | ours, timeout=600)
    loads = [step for what, step in server.versions if what == "load"]
    assert loads == ["0", "1"]
    assert len([1 for what, _ in server.log if what == "unload"]) == 2
    # Two steps, two processes, two rollouts each, of at least one reply; and one reply to try the server.
    assert len([1 for what, _ in server.log if what == "write"]) >= 9


def _recipe(model: Path, url: str, folder: Path) -> Recipe:
    from deepagent import settings

    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(model=model, url=url))
    return settings.read(path, Recipe)
