"""The door counts what goes through it, whoever asks: whole replies, streams, refusals, and clients that go away."""

import aiohttp
import pytest

from benchmarks.success.served import opened, usage_of
from deepagent.errors import WeightsError
from deepagent.models import weights
from deepagent.models.base import Sampling, Usage
from deepagent.models.http import HttpModel
from deepagent.transcript import Message, Window

MODEL = "smollm2-135m"


@pytest.mark.parametrize(
    ("event", "usage"),
    [
        (
            {"timings": {"cache_n": 3, "prompt_n": 4, "predicted_n": 5}},
            Usage(prompt_tokens=7, cached_tokens=3, completion_tokens=5),
        ),
        ({"choices": []}, None),
    ],
)
def test_counts_are_read_from_the_servers_timings(event, usage):
    assert usage_of(event) == usage


@pytest.mark.weights
async def test_it_counts_every_client_alike():
    pytest.importorskip("xllamacpp")
    try:
        weights.path(MODEL)
    except WeightsError as missing:
        pytest.skip(str(missing))
    async with opened(MODEL, context=1024) as door:
        async with HttpModel(door.url, door.model, turns=True) as model:
            assert model.context == 1024
            asked = [Message(role="user", content="Say hello.")]
            window = Window(asked, [await model.prompt(asked)])
            generated = await model.generate(window, Sampling(max_tokens=8))
        ours = door.emptied()
        assert (ours.turns, ours.refused, ours.usage) == (1, 0, generated.usage)

        body = {"model": door.model, "max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{door.url}/chat/completions", json=body) as answer,
        ):
            told = (await answer.json())["usage"]
        theirs = door.emptied()
        assert (theirs.turns, theirs.usage.prompt_tokens) == (1, told["prompt_tokens"])
        assert theirs.usage.completion_tokens == told["completion_tokens"]

        body["messages"][0]["content"] = "word " * 3000
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{door.url}/chat/completions", json=body) as answer,
        ):
            assert answer.status == 400
        refused = door.emptied()
        assert (refused.turns, refused.refused) == (0, 1)
        assert "context" in refused.reasons[0]
