"""The same tasks on vLLM's engine inside this process."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from deepagent import Agent
from deepagent.grammar import Grammar, HeldTag
from deepagent.models import Sampling
from deepagent.models.vllm import VllmModel
from deepagent.runs.events import Intended, Replied
from deepagent.runs.store import RunStore
from deepagent.transcript import Message, Window
from tests.support import assert_promises, rebuild_prompts
from tests.vllm.conftest import ENVIRONMENT, WEIGHTS
from tests.vllm.steered import CONFIG, IN_TAGS, price, stock

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.asyncio(loop_scope="module")]
MESSAGES = [Message(role="user", content="Count from one to ten in words.")]


RANK, ALPHA = 12, 24


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter with random pairs, on what every layer writes back."""
    folder = tmp_path_factory.mktemp("lora")
    width = json.loads((WEIGHTS / "config.json").read_text())["hidden_size"]
    layers = json.loads((WEIGHTS / "config.json").read_text())["num_hidden_layers"]
    chance = torch.Generator().manual_seed(0)
    pairs = {}
    for layer in range(layers):
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj.lora_"
        pairs[f"{name}A.weight"] = torch.randn((RANK, width), generator=chance) * 0.02
        pairs[f"{name}B.weight"] = torch.randn((width, RANK), generator=chance) * 0.1
    save_file(pairs, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["o_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worn(adapter: Path) -> AsyncIterator[VllmModel]:
    """The model with the adapter on it."""
    os.environ.update(ENVIRONMENT)
    options = {"enforce_eager": True, "dtype": "bfloat16", "max_num_seqs": 8, "block_size": 32}
    async with VllmModel(str(WEIGHTS), context=4096, turns=True, options=options, adapter=adapter) as opened:
        yield opened


@pytest.fixture
def model(worn: VllmModel, monkeypatch: pytest.MonkeyPatch) -> VllmModel:
    """The model as it was before."""
    monkeypatch.setattr(worn, "_lora", None)
    return worn


async def test_the_adapter_changes_what_it_was_made_to_change(worn: VllmModel, adapter: Path):
    window = Window(MESSAGES, [await worn.prompt(MESSAGES)])
    segment = (await worn.generate(window, Sampling(max_tokens=12, logprobs=True))).segment
    network = AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32, local_files_only=True)
    ids = torch.tensor([[*window.token_ids, *segment.token_ids]])

    def apart() -> float:
        """Mean distance of the engine's log-probabilities to those of the network as it is now."""
        with torch.inference_mode():
            table = network(input_ids=ids).logits[0].log_softmax(-1)
        start = len(window.token_ids) - 1
        drawn = [float(table[start + at, token]) for at, token in enumerate(segment.token_ids)]
        return sum(abs(a - b) for a, b in zip(drawn, segment.logprobs, strict=True)) / len(drawn)

    without = apart()
    pairs = load_file(adapter / "adapter_model.safetensors")
    for number, layer in enumerate(network.model.layers):
        name = f"base_model.model.model.layers.{number}.self_attn.o_proj.lora_"
        layer.self_attn.o_proj.weight.data += ALPHA / RANK * pairs[f"{name}B.weight"] @ pairs[f"{name}A.weight"]
    with_it = apart()
    assert with_it < 0.2  # the engine computes in bfloat16
    assert without > 5 * with_it


class Led:
    """The open model as one that an agent opens and closes, each reply held to the next step of a plan."""

    def __init__(self, model: VllmModel, plan: tuple[str, ...]) -> None:
        self._model = model
        self._plan = list(plan)

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    async def generate(self, window: Window, sampling: Sampling, *, stop=(), listen=None, **_):
        held = {"regex": self._plan.pop(0)}
        return await self._model._ask(window.token_ids, sampling, stop, listen, held)


async def test_the_task_that_the_server_is_tested_on_and_three_more_share_the_engine(model: VllmModel, tmp_path: Path):
    with RunStore(tmp_path / "runs.sqlite") as store:

        async def one(plan: tuple[str, ...]):
            agent = Agent(Led(model, plan), [price, stock], config=CONFIG, store=store)
            run = await agent.run("What does a chair cost?")
            return run, [recorded.event for recorded in store.events(run.id)]

        short = (IN_TAGS[0], IN_TAGS[1], IN_TAGS[-1])
        done = await asyncio.gather(one(IN_TAGS), *(one(short) for _ in range(3)))
    for run, events in done:
        assert_promises(events)
        assert run.status == "answered"
        used = [event.generated.usage for event in events if isinstance(event, Replied)]
        prompts = [ids for _, ids in rebuild_prompts(events)]
        assert [one.prompt_tokens for one in used] == [len(ids) for ids in prompts]
        assert all(later.cached_tokens > 0 for later in used[1:])
    kinds = [event.action.kind for event in done[0][1] if isinstance(event, Intended)]
    assert kinds == ["search", "call", "execute", "call", "fold", "call", "answer"]
    assert done[0][0].folds == 1


async def test_ids_text_and_logprobs_say_the_same(model: VllmModel):
    window = Window(MESSAGES, [await model.prompt(MESSAGES)])
    generated = await model.generate(window, Sampling(max_tokens=40, logprobs=True), stop=["three"])
    segment = generated.segment
    assert "three" in segment.text.lower()
    assert model._tokens.decode(segment.token_ids) == segment.text
    assert len(segment.logprobs) == segment.tokens


async def test_a_listener_ends_the_reply(model: VllmModel):
    window = Window(MESSAGES, [await model.prompt(MESSAGES)])
    generated = await model.generate(window, Sampling(max_tokens=400), listen=lambda: lambda delta: True)
    assert generated.finish == "watch"
    assert generated.segment.tokens < 20


async def test_replies_are_held_to_schema_and_grammar(model: VllmModel):
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    reply = await model.chat([Message(role="user", content="2 + 3?")], Sampling(max_tokens=40), schema=schema)
    assert isinstance(json.loads(reply.segment.text)["sum"], int)
    broken = Grammar(tags=(HeldTag(begin="<c>", schema_={"$ref": "#/nowhere"}, end="</c>"),))
    window = Window(MESSAGES, [await model.prompt(MESSAGES)])
    assert (await model.generate(window, Sampling(max_tokens=5), grammar=broken)).segment.tokens > 0
