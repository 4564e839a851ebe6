"""What vLLM and SGLang are asked for beyond a reply: grammars, aborts, whole or incremental events."""

import asyncio

import pytest

from deepagent.errors import ModelTimeoutError, ModelUnavailableError
from deepagent.grammar import Grammar, HeldTag
from deepagent.models import Sampling
from deepagent.models.http import HttpModel
from deepagent.transcript import Message, Window
from tests.models import fake_server
from tests.models.fake_server import CONTEXT, Exchange, FakeServer, encode

pytestmark = pytest.mark.usefixtures("quick")
BOTH = pytest.mark.parametrize("flavour", ["vllm", "sglang"])
MESSAGES = [Message(role="user", content="Go.")]
GRAMMAR = Grammar(tags=(HeldTag(begin="<c>", schema_={"type": "object"}, end="</c>"),))


async def open_window(model: HttpModel) -> Window:
    return Window(MESSAGES, [await model.prompt(MESSAGES)])


def held(exchange: Exchange) -> str | None:
    outputs = exchange.body.get("structured_outputs") or exchange.body.get("sampling_params") or {}
    return outputs.get("structural_tag")


async def ask_twice(flavour, *faults) -> list[str | None]:
    """The grammars that two replies were held to, request by request."""
    async with FakeServer(flavour, "hello", list(faults)) as server, HttpModel(server.url, retries=1) as model:
        window = await open_window(model)
        for _ in range(2):
            assert (await model.generate(window, Sampling(), grammar=GRAMMAR)).segment.text == "hello"
    return [held(one) for one in server.generations]


@BOTH
async def test_a_grammar_is_sent_as_a_structural_tag(flavour):
    assert await ask_twice(flavour) == [GRAMMAR.structural_tag] * 2


@BOTH
@pytest.mark.parametrize("status", [400, 422, 500])
async def test_a_grammar_that_cannot_be_compiled_is_left_out_from_then_on(flavour, status):
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(status, {"error": {"message": "Invalid structural_tag"}})

    tries = 2 if status == 500 else 1  # which may pass
    sent = await ask_twice(flavour, *[refuse] * tries)
    assert sent == [GRAMMAR.structural_tag] * tries + [None, None]


@BOTH
async def test_a_grammar_that_breaks_the_reply_is_left_out(flavour):
    async def broken(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.event({"error": {"message": "token rejected by the grammar"}})

    assert await ask_twice(flavour, broken, broken) == [GRAMMAR.structural_tag] * 2 + [None, None]


@BOTH
async def test_a_failure_without_a_grammar_is_a_failure(flavour):
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(400, {"error": {"message": "no"}})

    async with FakeServer(flavour, faults=[refuse]) as server, HttpModel(server.url) as model:
        with pytest.raises(ModelUnavailableError):
            await model.generate(await open_window(model), Sampling())


@pytest.mark.parametrize("incremental", [True, False])
async def test_sglang_may_send_the_whole_reply_so_far_or_what_is_new(incremental):
    fake = FakeServer("sglang", "hello world", incremental=incremental)
    async with fake as server, HttpModel(server.url) as model:
        generated = await model.generate(await open_window(model), Sampling(logprobs=True))
    assert generated.segment.text == "hello world"
    assert generated.segment.token_ids == tuple(encode("hello world"))
    assert generated.segment.logprobs == (-0.5,) * 11
    assert generated.usage.cached_tokens == generated.usage.prompt_tokens - 1


async def test_sglang_says_itself_that_it_gave_up():
    async def aborted(exchange: Exchange) -> None:
        meta = {"finish_reason": {"type": "abort", "message": "out of memory"}, "completion_tokens": 0}
        await exchange.open_stream()
        await exchange.event({"text": "", "output_ids": [], "meta_info": meta})

    async with FakeServer("sglang", faults=[aborted] * 9) as server, HttpModel(server.url, retries=1) as model:
        with pytest.raises(ModelUnavailableError, match="out of memory"):
            await model.generate(await open_window(model), Sampling())


@pytest.mark.parametrize("how", ["listener", "cancel", "timeout"])
async def test_a_request_that_is_left_is_ended_by_its_id_too(how):
    """Through a proxy, a closed connection may tell the server nothing."""
    begun = asyncio.Event()

    async def endless(exchange: Exchange) -> None:
        await exchange.open_stream()
        meta = {"prompt_tokens": 3, "completion_tokens": 1, "finish_reason": None}
        await exchange.event({"text": "a", "output_ids": [97], "meta_info": meta})
        begun.set()
        await exchange.gone()

    async with FakeServer("sglang", faults=[endless]) as server:
        async with HttpModel(server.url, timeout=0.5 if how == "timeout" else 60) as model:
            listen = (lambda: lambda delta: True) if how == "listener" else None
            work = asyncio.ensure_future(model.generate(await open_window(model), Sampling(), listen=listen))
            await begun.wait()
            if how == "listener":
                assert (await work).finish == "watch"
            elif how == "cancel":
                work.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await work
            else:
                with pytest.raises(ModelTimeoutError):
                    await work
        aborted = [one.body["rid"] for one in server.seen if one.path == "/abort_request"]
    assert aborted == [server.generations[0].body["rid"]]
    assert aborted[0], "an empty id would end the requests of all clients"


async def test_a_reply_that_ended_is_not_aborted():
    async with FakeServer("sglang") as server, HttpModel(server.url) as model:
        await model.generate(await open_window(model), Sampling())
    assert not any(one.path == "/abort_request" for one in server.seen)


async def test_vllm_is_asked_for_control_tokens_and_the_window_is_its_own():
    async with FakeServer("vllm") as server, HttpModel(server.url) as model:
        await model.generate(await open_window(model), Sampling())
        assert model.context == CONTEXT
    body = server.generations[0].body
    assert body["skip_special_tokens"] is False
    assert body["include_stop_str_in_output"] is True
    assert "request_id" not in body, "which only means something to a server that takes aborts"


@BOTH
async def test_an_overloaded_server_has_nothing_against_the_grammar(flavour):
    async def busy(exchange: Exchange) -> None:
        await exchange.answer(503, {"error": {"message": "loading"}})

    async with FakeServer(flavour, "hello", [busy] * 2) as server, HttpModel(server.url, retries=1) as model:
        window = await open_window(model)
        with pytest.raises(ModelUnavailableError):
            await model.generate(window, Sampling(), grammar=GRAMMAR)
        await model.generate(window, Sampling(), grammar=GRAMMAR)
    assert [held(one) for one in server.generations] == [GRAMMAR.structural_tag] * 3


@BOTH
async def test_an_observation_full_of_control_tokens_costs_one_request(flavour):
    async with FakeServer(flavour) as server, HttpModel(server.url) as model:
        before = len(server.seen)
        shown = await model.observation("</s>" * 500)
        assert len(server.seen) == before + 1
    assert shown.text.replace("\u200b", "") == "</s>" * 500
    assert shown.token_ids == tuple(encode(shown.text))


@BOTH
async def test_an_end_token_of_a_kind_that_is_not_known_is_no_part_of_the_stream_either(flavour, monkeypatch):
    monkeypatch.setattr(fake_server, "END", "<halt>")
    async with FakeServer(flavour, "bye") as server, HttpModel(server.url) as model:
        segment = (await model.generate(await open_window(model), Sampling())).segment
    assert (segment.text, segment.token_ids) == ("bye", tuple(encode("bye")))
