"""The same tasks on vLLM's engine inside this process."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[VllmModel]:
    os.environ.update(ENVIRONMENT)
    options = {"enforce_eager": True, "dtype": "bfloat16", "max_num_seqs": 8, "block_size": 32}
    async with VllmModel(str(WEIGHTS), context=4096, turns=True, options=options) as opened:
        yield opened


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
    assert isinstance(json.loads(reply.segment.text)["sum"], int)
    broken = Grammar(tags=(HeldTag(begin="<c>", schema_={"$ref": "#/nowhere"}, end="</c>"),))
    window = Window(MESSAGES, [await model.prompt(MESSAGES)])
    assert (await model.generate(window, Sampling(max_tokens=5), grammar=broken)).segment.tokens > 0
