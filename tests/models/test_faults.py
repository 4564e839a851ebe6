"""Every way in which a server can fail ends in a right reply or a typed error, in bounded time."""

import asyncio
import json
import socket

import pytest

from deepagent.errors import (
    BrokenReplyError,
    ContextOverflowError,
    ModelError,
    ModelReplyError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from deepagent.models import Generated, Sampling, transport
from deepagent.models.http import HttpModel
from deepagent.transcript import Message, Window
from tests.models.fake_server import Exchange, FakeServer

pytestmark = pytest.mark.usefixtures("quick")

FLAVOURS = pytest.mark.parametrize("flavour", ["llama", "vllm", "sglang", "chat"])
MESSAGES = [Message(role="user", content="Go.")]


async def ask(server: FakeServer, *, timeout: float = 20, retries: int = 2, **options) -> Generated:
    async with HttpModel(server.url, "toy", timeout=timeout, retries=retries) as model:
        window = Window(MESSAGES, [await model.prompt(MESSAGES)])
        return await asyncio.wait_for(model.generate(window, Sampling(), **options), 15)


def status(code: int, body: str = '{"error": {"message": "busy"}}', **headers: str):
    async def fault(exchange: Exchange) -> None:
        await exchange.answer(code, body, **headers)

    return fault


def stream(*events: object, done: bool = True):
    """Answers with these events, whatever they are."""

    async def fault(exchange: Exchange) -> None:
        await exchange.open_stream()
        for event in events:
            await exchange.event(event)
        if done:
            await exchange.event("[DONE]")

    return fault


def piece(text: object, finish: str | None = None) -> dict:
    """An event that every flavour reads as the same text."""
    ids = [ord(letter) for letter in text] if isinstance(text, str) else []
    choice = {"text": text, "delta": {"content": text}, "token_ids": ids, "finish_reason": finish}
    meta = {"id": "1", "finish_reason": {"type": finish, "matched": "x"} if finish else None}
    return {"choices": [choice], "__verbose": {"tokens": ids}, "text": text, "output_ids": ids, "meta_info": meta}


async def reset(exchange: Exchange) -> None:
    await exchange.open_stream()
    exchange.reset()


async def reset_midway(exchange: Exchange) -> None:
    await exchange.open_stream()
    await exchange.event(piece("hel"))
    exchange.reset()


async def close_at_once(exchange: Exchange) -> None:
    exchange.writer.close()


async def half_an_event(exchange: Exchange) -> None:
    await exchange.open_stream()
    await exchange.event(piece("hel"))
    await exchange.send('data: {"choices": [{"te')


async def stall(exchange: Exchange) -> None:
    await exchange.open_stream()
    await exchange.event(piece("hel"))
    await exchange.gone()


async def silence(exchange: Exchange) -> None:
    await exchange.gone()


@FLAVOURS
@pytest.mark.parametrize(
    "fault",
    [
        status(429),
        status(429, Retry_After="0"),
        status(500),
        status(502, "<html>Bad Gateway</html>"),
        status(503),
        reset,
        close_at_once,
    ],
)
async def test_a_passing_failure_is_tried_again(flavour, fault):
    async with FakeServer(flavour, "hello", faults=[fault, fault]) as server:
        assert (await ask(server)).segment.text == "hello"
    assert len(server.generations) == 3


@FLAVOURS
@pytest.mark.parametrize("fault", [status(429), status(502, "<html>"), reset, close_at_once])
async def test_a_lasting_failure_ends_after_the_retries(flavour, fault):
    async with FakeServer(flavour, faults=[fault] * 10) as server:
        with pytest.raises(ModelUnavailableError):
            await ask(server)
    assert len(server.generations) == 3


async def test_the_server_says_how_long_to_wait():
    async with FakeServer(faults=[status(429, Retry_After="0.3")]) as server:
        await ask(server)
    first, second = server.generations
    assert second.at - first.at >= 0.3


async def test_waiting_ends_with_the_time_limit():
    async with FakeServer(faults=[status(429, Retry_After="50")]) as server:
        with pytest.raises(ModelUnavailableError, match="HTTP 429: busy"):
            await ask(server, timeout=0.5)


@pytest.mark.parametrize(("code", "words"), [(400, "refuses the request"), (401, "key"), (404, "model name")])
async def test_a_refusal_is_not_repeated(code, words):
    async with FakeServer(faults=[status(code)]) as server:
        with pytest.raises(ModelUnavailableError, match=words):
            await ask(server)
    assert len(server.generations) == 1


@FLAVOURS
@pytest.mark.parametrize("fault", [reset_midway, half_an_event])
async def test_a_reply_that_breaks_off_is_asked_for_again_and_heard_anew(flavour, fault):
    """A second beginning must not be taken for the first one's continuation."""
    heard: list[list[str]] = []

    def listen():
        heard.append([])
        return lambda delta: heard[-1].append(delta) is not None

    async with FakeServer(flavour, "hello", faults=[fault]) as server:
        generated = await ask(server, listen=listen)
    assert generated.segment.text == "hello"
    assert ["".join(one) for one in heard] == ["hel", "hello"]
    assert len(server.generations) == 2


@FLAVOURS
@pytest.mark.parametrize("fault", [reset_midway, half_an_event])
async def test_a_server_that_keeps_breaking_off_is_an_error(flavour, fault):
    async with FakeServer(flavour, faults=[fault] * 10) as server:
        with pytest.raises(BrokenReplyError):
            await ask(server)
    assert len(server.generations) == 3


@FLAVOURS
@pytest.mark.parametrize("fault", [stall, silence])
async def test_a_server_that_falls_silent_is_left_after_the_time_limit(flavour, fault):
    async with FakeServer(flavour, faults=[fault]) as server:
        with pytest.raises(ModelTimeoutError, match=r"did not finish in 0\.5 s"):
            await ask(server, timeout=0.5)


async def test_a_server_that_trickles_is_left_after_the_time_limit():
    async def trickle(exchange: Exchange) -> None:
        await exchange.open_stream()
        while True:
            await exchange.event(piece("a"))
            await asyncio.sleep(0.02)

    async with FakeServer(faults=[trickle]) as server:
        with pytest.raises(ModelTimeoutError):
            await ask(server, timeout=0.5)


@FLAVOURS
async def test_a_missing_done_is_forgiven(flavour):
    async def without(exchange: Exchange) -> None:
        await server.generate(exchange, done=False)

    async with FakeServer(flavour, "hello", faults=[without]) as server:
        assert (await ask(server)).segment.text == "hello"


@FLAVOURS
async def test_a_missing_finish_reason_is_forgiven(flavour):
    async with FakeServer(flavour, faults=[stream(piece("hello"))]) as server:
        generated = await ask(server)
    assert (generated.segment.text, generated.finish) == ("hello", "stop")


@FLAVOURS
async def test_missing_usage_is_estimated_and_says_so(flavour):
    async with FakeServer(flavour, faults=[stream(piece("hello", "length"))]) as server:
        usage = (await ask(server)).usage
    assert usage.estimated
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0


@FLAVOURS
async def test_usage_in_every_event_counts_once(flavour):
    def counted(event: dict, completion: int) -> dict:
        meta = event["meta_info"] | {"prompt_tokens": 7, "completion_tokens": completion}
        return event | {"usage": {"prompt_tokens": 7, "completion_tokens": completion}, "meta_info": meta}

    events = [counted(piece("he"), 2), counted(piece("llo", "length"), 5)]
    async with FakeServer(flavour, faults=[stream(*events)]) as server:
        usage = (await ask(server)).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (7, 5, False)


@FLAVOURS
async def test_null_content_is_no_text(flavour):
    async with FakeServer(flavour, faults=[stream(piece(None), piece("hello"), piece(None, "length"))]) as server:
        assert (await ask(server)).segment.text == "hello"


@FLAVOURS
async def test_half_characters_in_a_reply_are_joined_or_replaced(flavour):
    halves = [piece("a\ud83e", None), piece("\udd99b\ud83e", None), piece("c", "stop")]
    for event in halves:
        event["choices"][0].pop("token_ids")
        event["__verbose"] = {"tokens": []}
        event["output_ids"] = []
    async with FakeServer(flavour, faults=[stream(*halves)]) as server:
        assert (await ask(server)).segment.text == "a\N{LLAMA}b\ufffdc"


async def test_half_a_character_in_an_error_or_a_whole_answer_is_replaced():
    async def whole(exchange: Exchange) -> None:
        await exchange.answer(200, {"choices": [{"message": {"content": "a\ud83e"}, "finish_reason": "stop"}]})

    refuses = status(400, '{"error": {"message": "not \\ud83e"}}')
    async with FakeServer("chat", faults=[refuses, whole]) as server:
        with pytest.raises(ModelUnavailableError, match=r"not \?"):
            await ask(server)
        assert (await ask(server)).segment.text == "a?"


@FLAVOURS
async def test_a_reply_in_one_piece_is_read_too(flavour):
    async def whole(exchange: Exchange) -> None:
        event = piece("hello", "length")
        choice = event["choices"][0]
        await exchange.answer(200, event | {"choices": [choice | {"delta": None, "message": choice["delta"]}]})

    async with FakeServer(flavour, faults=[whole]) as server:
        assert (await ask(server)).segment.text == "hello"


@FLAVOURS
@pytest.mark.parametrize(
    "fault",
    [
        stream(),
        stream({"choices": []}),
        stream({"choices": None}),
        stream({"choices": [None]}),
        stream("no json"),
        stream("[1, 2]"),
        stream("[" * 100_000),
        stream(piece(17)),
        status(200, "<html>welcome</html>"),
        stream(*[piece("x" * 1_000_000)] * 10),
        stream(piece("x" * 10_000_000)),
    ],
    ids=["nothing", "empty", "null", "null-choice", "garbage", "list", "deep", "number", "html", "10MB", "10MB-event"],
)
async def test_what_is_no_reply_is_a_reply_error(flavour, fault):
    async with FakeServer(flavour, faults=[fault]) as server:
        with pytest.raises(ModelReplyError):
            await ask(server)


@FLAVOURS
async def test_an_overflow_is_named_wherever_it_is_reported(flavour):
    said = {"error": {"message": "maximum context length is 4096 tokens", "code": 400}}
    for fault in (status(400, said), status(500, said), stream(said), stream(piece("hel"), said)):
        async with FakeServer(flavour, faults=[fault]) as server:
            with pytest.raises(ContextOverflowError, match="maximum context length"):
                await ask(server)


@FLAVOURS
async def test_an_error_inside_the_stream_is_tried_again_and_told_when_it_lasts(flavour):
    fault = stream(piece("hel"), {"error": {"message": "out of memory"}})
    async with FakeServer(flavour, "hello", faults=[fault]) as server:
        assert (await ask(server)).segment.text == "hello"
    async with FakeServer(flavour, faults=[fault] * 10) as server:
        with pytest.raises(BrokenReplyError, match="out of memory"):
            await ask(server)


async def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    with pytest.raises(ModelUnavailableError, match="is the server running"):
        await HttpModel(url, retries=1).__aenter__()


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"text": "a"}], "__verbose": {"tokens": "abc"}},
        {"choices": [{"text": "a", "logprobs": {"content": 3}}], "__verbose": {"tokens": [1, None]}},
        {"choices": [{"text": ["a"]}]},
        {"choices": {"text": "a"}},
    ],
)
async def test_fields_of_the_wrong_type_are_model_errors(event):
    async with FakeServer("llama", faults=[stream(event)]) as server:
        with pytest.raises(ModelError):
            await ask(server)


@pytest.mark.parametrize("flavour", ["vllm", "chat"])
@pytest.mark.parametrize(
    ("code", "body"),
    [
        (200, '{"error": "Unexpected endpoint or method. (GET /props)"}'),
        (403, '{"message": "Missing Authentication Token"}'),
        (500, '{"error": "no such route"}'),
        (404, "<html>"),
    ],
)
async def test_a_server_may_say_in_any_words_that_it_does_not_know_a_path(flavour, code, body):
    class Gateway(FakeServer):
        async def _route(self, exchange: Exchange) -> None:
            known = ("models", "completions", "tokenize") if flavour == "vllm" else ("models", "completions")
            if exchange.path.endswith((*known, "detokenize")):
                await super()._route(exchange)
            else:
                await exchange.answer(code, body)

    async with Gateway(flavour, "hello") as server:
        assert (await ask(server, retries=0)).segment.text == "hello"


async def test_a_wrong_key_is_told_at_once():
    class Locked(FakeServer):
        async def _route(self, exchange: Exchange) -> None:
            await exchange.answer(401, "{}")

    async with Locked("chat") as server:
        with pytest.raises(ModelUnavailableError, match="refuses the key"):
            await ask(server)


@FLAVOURS
async def test_a_reply_that_is_whole_counts_even_if_its_connection_breaks_then(flavour):
    async def broken_end(exchange: Exchange) -> None:
        await exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        data = f"data: {json.dumps(piece('hello', 'length'))}\n\n".encode()
        await exchange.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async with FakeServer(flavour, faults=[broken_end] * 3) as server:
        assert (await ask(server)).segment.text == "hello"
    assert len(server.generations) == 1


@FLAVOURS
async def test_nothing_is_waited_for_long_once_a_reply_is_whole(flavour, monkeypatch):
    async def stays_open(exchange: Exchange) -> None:
        await exchange.open_stream()
        await exchange.event(piece("hello", "length"))
        await exchange.gone()

    monkeypatch.setattr(transport, "AFTER_END_SECONDS", 0.05)
    async with FakeServer(flavour, faults=[stays_open]) as server:
        assert (await ask(server)).segment.text == "hello"


async def test_too_many_tokens_a_minute_is_no_overflow():
    busy = status(429, '{"error": {"message": "Too many tokens, please wait before trying again."}}')
    async with FakeServer(faults=[busy]) as server:
        assert (await ask(server)).segment.text == "hello"


@pytest.mark.parametrize("code", [400, 413])
@pytest.mark.parametrize(
    "said",
    [
        "The input token count (40000) exceeds the maximum number of tokens allowed (32768).",
        "This model's maximum prompt length is 131072",
        "Input is too long for requested model.",
        "Please reduce the length of the messages or completion.",
    ],
)
async def test_an_overflow_is_known_in_the_words_of_many_servers(code, said):
    async with FakeServer(faults=[status(code, json.dumps({"error": {"message": said}}))]) as server:
        with pytest.raises(ContextOverflowError):
            await ask(server)


async def test_a_server_that_quotes_the_key_does_not_give_it_away():
    async def quotes(exchange: Exchange) -> None:
        await exchange.answer(400, {"error": {"message": f"bad header {exchange.headers['authorization']}"}})

    async with FakeServer(faults=[quotes]) as server, HttpModel(server.url, api_key="sk-SECRET") as model:
        window = Window(MESSAGES, [await model.prompt(MESSAGES)])
        with pytest.raises(ModelUnavailableError) as raised:
            await model.generate(window, Sampling())
    assert "SECRET" not in str(raised.value)


async def test_passwords_of_other_programs_are_not_sent(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login user password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(transport, "is_loopback", lambda host: False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with FakeServer() as server:
        await ask(server)
        assert not any("authorization" in one.headers for one in server.seen)


@pytest.mark.parametrize(
    ("base", "path"), [("/v1", "/v1/"), ("", "/v1/"), ("/v1beta/openai", "/v1beta/openai/"), ("/api/v4", "/api/v4/")]
)
async def test_the_base_of_an_api_may_be_any(base, path):
    async with FakeServer("chat") as server:
        url = server.url.removesuffix("/v1") + base
        async with HttpModel(url, "toy", context=4096, functions=False) as model:
            await model.chat(MESSAGES, Sampling())
    assert server.generations[-1].path == f"{path}chat/completions"


async def test_a_connection_is_used_again_though_the_end_of_the_body_comes_late():
    """Every step against a TLS server would else pay a handshake."""
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            data = f"data: {json.dumps(piece('hello', 'stop'))}\n\ndata: [DONE]\n\n".encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)  # it is late
            writer.write(b"0\r\n\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, HttpModel(url, "toy", api="chat", context=4096, functions=False) as model:
        before = served
        for _ in range(5):
            assert (await model.chat(MESSAGES, Sampling())).segment.text == "hello"
        assert served == before
