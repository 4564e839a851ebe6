"""What a server can do is found by trying."""

import pytest

from deepagent.models.capabilities import Capabilities, examine
from deepagent.models.http import HttpModel
from tests.models.fake_server import CONTEXT, Exchange, FakeServer

METRICS = """\
# TYPE vllm:prefix_cache_hits counter
vllm:prefix_cache_hits_total{engine="0"} 30.0
vllm:prefix_cache_hits_created{engine="0"} 1.7e9
vllm:prefix_cache_queries_total{engine="0"} 40.0
"""


def obeys(body):
    held = body.get("response_format") or (body.get("structured_outputs") or {}).get("json")
    return '{"ok": "yes"}' if held else "hello"


async def found(server: FakeServer, **options) -> Capabilities:
    async with server, HttpModel(server.url, "toy", retries=0, **options) as model:
        return await examine(model)


@pytest.mark.parametrize(("flavour", "kind"), [("llama", "llama.cpp"), ("vllm", "vLLM"), ("sglang", "SGLang")])
async def test_a_server_that_speaks_tokens(flavour, kind):
    can = await found(FakeServer(flavour, obeys, functions=True))
    assert (can.server, can.model, can.context) == (kind, "toy", CONTEXT)
    assert can.stream
    assert can.functions
    assert can.schemas
    assert can.logprobs
    assert can.cache
    assert can.grammar == (flavour != "llama")
    assert can.abort == ("by id" if flavour == "sglang" else "by closing")
    assert can.hit_rate is None


async def test_a_plain_chat_api():
    can = await found(FakeServer("chat", "hello"))
    assert can == Capabilities(
        server="chat API", model="toy", context=CONTEXT, stream=False, functions=False, schemas=False, grammar=False,
        logprobs=False, cache=True, hit_rate=None, abort="by closing", reasoning=None,
    )  # fmt: skip


async def test_fields_that_an_api_refuses_are_named():
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(400, {"error": {"message": "temperature is not supported"}})

    can = await found(FakeServer("chat", "hello", faults=[refuse]))
    assert can.refused == ("temperature",)


async def test_a_grammar_that_is_refused_is_no_grammar():
    class Plain(FakeServer):
        async def generate(self, exchange: Exchange, done: bool = True) -> None:
            if "structured_outputs" in exchange.body:
                await exchange.answer(400, {"error": {"message": "structured_outputs are off"}})
            else:
                await super().generate(exchange, done)

    can = await found(Plain("vllm", "hello"))
    assert not can.grammar
    assert not can.schemas


async def test_the_hit_rate_is_read_from_the_metrics():
    class Measured(FakeServer):
        async def _route(self, exchange: Exchange) -> None:
            if exchange.path == "/metrics":
                await exchange.answer(200, METRICS, "text/plain")
            else:
                await super()._route(exchange)

    assert (await found(Measured("vllm", "hello"))).hit_rate == 0.75


@pytest.mark.parametrize("kept", [True, False])
async def test_a_template_that_strips_reasoning_is_found_out(kept):
    class Thinking(FakeServer):
        def _vllm_tokenize(self, body):
            for message in body.get("messages", []):
                message["content"] += message.get("reasoning", "") if kept else ""
            return super()._vllm_tokenize(body)

    assert (await found(Thinking("vllm", "hello"))).reasoning == kept
