"""The same tasks on vLLM's engine inside this process."""

import asyncio
import os
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from deepagent import Agent, AgentConfig, Limits
from deepagent.grammar import Grammar, HeldTag
from deepagent.models import Sampling
from deepagent.models.vllm import VllmModel
from deepagent.runs.events import Replied
from deepagent.runs.store import RunStore
from deepagent.transcript import Message, Window
from tests.support import assert_promises, rebuild_prompts
from tests.vllm.conftest import ENVIRONMENT, WEIGHTS
from tests.vllm.steered import price

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.asyncio(loop_scope="module")]
MESSAGES = [Message(role="user", content="Count from one to ten in words.")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[VllmModel]:
    os.environ.update(ENVIRONMENT)
    options = {"enforce_eager": True, "dtype": "bfloat16", "max_num_seqs": 8, "block_size": 32}
    async with VllmModel(str(WEIGHTS), context=4096, turns=True, options=options) as opened:
        yield opened


class Kept:
    """The open model as one that an agent opens and closes."""

    def __init__(self, model: VllmModel) -> None:
        self._model = model

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


async def test_runs_share_the_engine(model: VllmModel, tmp_path: Path):
    config = AgentConfig(encoder="hash", limits=Limits(actions=4), sampling=Sampling(max_tokens=100))
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(Kept(model), [price], config=config, store=store) as agent:
            tasks = [f"What does a {sku} cost?" for sku in ("lamp", "chair")] * 2
            runs = await asyncio.gather(*(agent.run(task) for task in tasks))
        for run in runs:
            events = [recorded.event for recorded in store.events(run.id)]
            assert_promises(events)
            assert run.status in ("answered", "forced", "limit")
            prompts = [ids for _, ids in rebuild_prompts(events)]
            for earlier, later in pairwise(prompts):
                assert later[: len(earlier)] == earlier
            used = [event.generated.usage for event in events if isinstance(event, Replied)]
            assert [one.prompt_tokens for one in used] == [len(ids) for ids in prompts[: len(used)]]
            assert all(later.cached_tokens > 0 for later in used[1:])


async def test_ids_text_and_logprobs_say_the_same(model: VllmModel):
    window = Window(MESSAGES, [await model.prompt(MESSAGES)])
    generated = await model.generate(window, Sampling(max_tokens=40, logprobs=True), stop=["three"])
    segment = generated.segment
    assert "three" in segment.text.lower()
    assert await model._decode(segment.token_ids) == segment.text
    assert len(segment.logprobs) == segment.tokens


async def test_a_listener_ends_the_reply(model: VllmModel):
    window = Window(MESSAGES, [await model.prompt(MESSAGES)])
    generated = await model.generate(window, Sampling(max_tokens=400), listen=lambda: lambda delta: True)
    assert generated.finish == "watch"
    assert generated.segment.tokens < 20


async def test_replies_are_held_to_schema_and_grammar(model: VllmModel):
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    reply = await model.chat([Message(role="user", content="2 + 3?")], Sampling(max_tokens=40), schema=schema)
    assert reply.segment.text.lstrip().startswith('{"sum"') or '"sum"' in reply.segment.text
    broken = Grammar(tags=(HeldTag(begin="<c>", schema_={"$ref": "#/nowhere"}, end="</c>"),))
    window = Window(MESSAGES, [await model.prompt(MESSAGES)])
    assert (await model.generate(window, Sampling(max_tokens=5), grammar=broken)).segment.tokens > 0
