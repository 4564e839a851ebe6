"""Whole runs on a server that fails in every way servers do: each recovers, or ends in a typed error, in time."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepagent import Agent, AgentConfig, Limits, tool
from deepagent.agent import Delta
from deepagent.errors import ModelReplyError, ModelTimeoutError, OperatorError
from deepagent.models import failures
from deepagent.models.http import HttpModel
from deepagent.runs.events import Ended, Folded, Observed
from deepagent.runs.store import RunStore
from tests.memory.test_folder import good
from tests.models.fake_server import END, END_ID, Exchange, FakeServer, Flavour, decode
from tests.support import HASHED, assert_promises

SECONDS = 30
FLAVOURS = pytest.mark.parametrize("flavour", ["llama", "vllm", "sglang", "native", "chat"])


@tool(effect="pure")
def price(sku: str) -> int:
    """Price of an article in USD."""
    return {"lamp": 40, "chair": 85}[sku]


def speaks(body: Any) -> Any:
    """A model that looks a price up and answers with it."""
    if "tools" in body:
        if body["messages"][-1]["role"] == "tool" or body["tool_choice"] == "none":
            return {"content": "85"}
        return {"tool_calls": [{"id": "c1", "name": "price", "arguments": '{"sku": "chair"}'}]}
    if _schema(body):
        return good([], _schema(body))
    text = _prompt(body)
    if "final answer now" in text:
        return "85</answer>"
    if "tool_call_result>\n85" in text:
        return "I know.\n<answer>85</answer>"
    return 'I look.\n<tool_call>{"name": "price", "arguments": {"sku": "chair"}}</tool_call>'


def _schema(body: Any) -> Any:
    """The schema that the answer is held to, in a fold."""
    form = body.get("response_format", {}).get("json_schema", {})
    return form.get("schema") or body.get("structured_outputs", {}).get("json")


def _prompt(body: Any) -> str:
    if "messages" in body:
        return "\n".join(message["content"] for message in body["messages"])
    return decode(body.get("prompt") or body.get("input_ids"))


def status(code: int, body: str = '{"error": {"message": "busy"}}', **headers: str) -> Callable[..., Any]:
    async def fault(exchange: Exchange, server: FakeServer) -> None:
        await exchange.answer(code, body, **headers)

    return fault


def changed(change: Callable[[list[dict[str, Any]]], list[Any]], done: bool = True) -> Callable[..., Any]:
    """The right reply with its events changed."""

    async def fault(exchange: Exchange, server: FakeServer) -> None:
        await exchange.open_stream()
        for event in change(list(server.events(exchange.path, exchange.body))):
            await exchange.event(event)
        if done:
            await exchange.event("[DONE]")

    return fault


async def reset_after_headers(exchange: Exchange, server: FakeServer) -> None:
    await exchange.open_stream()
    exchange.reset()


async def half_an_event(exchange: Exchange, server: FakeServer) -> None:
    await exchange.open_stream()
    await exchange.event(next(iter(server.events(exchange.path, exchange.body))))
    await exchange.send('data: {"choices": [{"te')


async def stalls(exchange: Exchange, server: FakeServer) -> None:
    await exchange.open_stream()
    await exchange.event(next(iter(server.events(exchange.path, exchange.body))))
    await exchange.gone()


async def slow_first_token(exchange: Exchange, server: FakeServer) -> None:
    await exchange.open_stream()
    for _ in range(3):
        await exchange.send(": still reading the prompt\n\n")
        await asyncio.sleep(0.1)  # it is slow
    for event in server.events(exchange.path, exchange.body):
        await exchange.event(event)
    await exchange.event("[DONE]")


def instead(said: Any) -> Callable[..., Any]:
    """Another reply than the right one."""

    async def fault(exchange: Exchange, server: FakeServer) -> None:
        kept, server.reply = server.reply, said(exchange.body) if callable(said) else said
        try:
            await server.generate(exchange)
        finally:
            server.reply = kept

    return fault


def no_usage(events: list[dict[str, Any]]) -> list[Any]:
    for event in events:
        event.pop("usage", None)
        event.pop("timings", None)
        for key in ("prompt_tokens", "cached_tokens"):
            event.get("meta_info", {}).pop(key, None)
    return events


def usage_everywhere(events: list[dict[str, Any]]) -> list[Any]:
    return [{"usage": {"prompt_tokens": 9, "completion_tokens": 3}} | event for event in events]


def null_content(events: list[dict[str, Any]]) -> list[Any]:
    empty = {"choices": [{"delta": {"content": None}, "text": None, "finish_reason": None}], "text": None}
    return [empty, *events]


def ten_megabytes(events: list[dict[str, Any]]) -> list[Any]:
    big = "x" * 1_000_000
    choice = {"delta": {"content": big}, "text": big, "finish_reason": None}
    return [{"choices": [choice], "text": big, "output_ids": [], "meta_info": {"id": "1"}}] * 10


def stop_text_swallowed(events: list[dict[str, Any]]) -> list[Any]:
    """The closing tag is neither in the text nor named as the reason."""
    for event in events:
        for choice in event.get("choices", []):
            choice.pop("stop_reason", None)
            if choice.get("text", "").startswith("</"):  # vLLM
                choice["text"], choice["token_ids"] = "", []
        event.get("__verbose", {}).pop("stopping_word", None)
        if event.get("meta_info"):  # SGLang
            cut = event["text"].rpartition("</")[0] or event["text"]
            event["text"], event["output_ids"] = cut, event["output_ids"][: len(cut)]
            event["meta_info"]["completion_tokens"] = len(cut)
    return events


def text_of(body: Any, tags: str, native: Any) -> Any:
    return native if "tools" in body else tags


RECOVERS: dict[str, Any] = {
    "429": status(429),
    "429-retry-after": status(429, Retry_After="0"),
    "500": status(500),
    "502-html": status(502, "<html>Bad Gateway</html>", kind="text/html"),
    "503": status(503),
    "reset": reset_after_headers,
    "half-event": half_an_event,
    "no-done": changed(list, done=False),
    "no-usage": changed(no_usage),
    "usage-everywhere": changed(usage_everywhere),
    "null-content": changed(null_content),
    "slow-first-token": slow_first_token,
    "stop-swallowed": changed(stop_text_swallowed),
    "context-400": status(400, '{"error": {"message": "maximum context length is 4096 tokens"}}'),
    "bad-arguments": instead(
        lambda body: text_of(
            body,
            "<tool_call>{{nonsense]</tool_call>",
            {"tool_calls": [{"id": "c1", "name": "price", "arguments": "{{nonsense]"}]},
        )
    ),
    "unknown-tool": instead(
        lambda body: text_of(
            body,
            '<tool_call>{"name": "prize", "arguments": {}}</tool_call>',
            {"tool_calls": [{"id": "c1", "name": "prize", "arguments": "{}"}]},
        )
    ),
    "duplicate-id": instead(
        lambda body: text_of(
            body,
            '<tool_call>{"name": "price", "arguments": {"sku": "lamp"}}</tool_call>',
            {"tool_calls": [{"id": "c1", "name": "price", "arguments": '{"sku": "lamp"}'}] * 2},
        )
    ),
    "cut-inside": instead(
        lambda body: text_of(
            body,
            '<tool_call>{"name": "price", "argu' + "x" * 5000,
            {
                "tool_calls": [{"id": "c1", "name": "price", "arguments": '{"sku": "cha'}],
                "finish_reason": "length",
            },
        )
    ),
    "empty-reply": instead(""),
}
ENDS: dict[str, tuple[Any, type[OperatorError]]] = {
    "stall": (stalls, ModelTimeoutError),
    "empty-choices": (changed(lambda events: [{"choices": []}]), ModelReplyError),
    "ten-megabytes": (changed(ten_megabytes), ModelReplyError),
    "garbage": (changed(lambda events: ["no json"]), ModelReplyError),
}


async def run(flavour: str, fault: Any, folder: Path, at: int = 0, timeout: float = 20.0):
    """A run whose generation number `at` meets the fault; returns the run or error, and the events."""
    kind: Flavour = "chat" if flavour == "native" else flavour  # type: ignore[assignment]
    config = AgentConfig(encoder="hash", limits=Limits(actions=12))
    server = FakeServer(kind, speaks, functions=flavour == "native")
    server.faults = [server.generate] * at + [lambda exchange: fault(exchange, server)]
    ended: Any
    async with server:
        model = HttpModel(server.url, "toy", timeout=timeout, retries=2)
        with RunStore(folder / "runs.sqlite") as store:
            async with asyncio.timeout(SECONDS):
                try:
                    ended = await Agent(model, [price], config=config, store=store).run("What does a chair cost?")
                except OperatorError as error:
                    ended = error
            events = [recorded.event for recorded in store.events(store.runs()[0].id)]
    assert_promises(events)
    assert isinstance(events[-1], Ended)
    return ended, events


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_DELAY", 0.01)


@FLAVOURS
@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("fault", RECOVERS)
async def test_the_run_recovers(flavour, fault, at, tmp_path):
    ended, _ = await run(flavour, RECOVERS[fault], tmp_path, at)
    assert ended.answer == "85"
    # With nothing to fold yet, a prompt that does not fit leaves only the question for an answer.
    assert ended.status == ("forced" if fault == "context-400" else "answered")


@FLAVOURS
@pytest.mark.parametrize("fault", ENDS)
async def test_or_it_ends_in_a_typed_error(flavour, fault, tmp_path):
    broken, kind = ENDS[fault]
    ended, events = await run(flavour, broken, tmp_path, 1, timeout=1.0 if fault == "stall" else 20.0)
    assert isinstance(ended, kind)
    assert events[-1].status == "failed"
    assert [event for event in events if isinstance(event, Observed)], "what was done until then is kept"


@FLAVOURS
@pytest.mark.parametrize("reported", [True, False])
async def test_the_end_token_is_or_is_not_among_the_ids(flavour, reported, tmp_path):
    kind: Flavour = "chat" if flavour == "native" else flavour
    said = "85" if flavour == "native" else "The answer is \\boxed{85}"
    server = FakeServer(kind, said, end_reported=reported, functions=flavour == "native")
    async with server:
        with RunStore(tmp_path / "runs.sqlite") as store:
            config = AgentConfig(encoder="hash")
            ended = await Agent(HttpModel(server.url, "toy"), [price], config=config, store=store).run("How much?")
            log = "".join(recorded.event.model_dump_json() for recorded in store.events(ended.id))
    assert ended.answer == "85"
    assert log.count(END) == log.split('"replied"')[0].count(END), "only the prompt holds end tokens"
    assert f"{END_ID}]" not in log.partition('"replied"')[2]


@pytest.mark.parametrize("flavour", ["vllm", "native"])
async def test_an_overflow_leads_to_a_fold_and_one_retry(flavour, tmp_path):
    @tool(effect="pure")
    def page(number: int) -> str:
        """A page of text."""
        return f"page {number}. " + "All is well in this place, and has been for long. " * 20

    number = 0

    def reads(body: Any) -> Any:
        nonlocal number
        if _schema(body):
            return good([], _schema(body))
        number += 1
        if number > 5:
            return text_of(body, "<answer>done</answer>", {"content": "done"})
        call = f'{{"name": "page", "arguments": {{"number": {number}}}}}'
        arguments = f'{{"number": {number}}}'
        native = {"tool_calls": [{"id": f"c{number}", "name": "page", "arguments": arguments}]}
        return text_of(body, f"<tool_call>{call}</tool_call>", native)

    async def overflow(exchange: Exchange) -> None:
        await exchange.answer(400, {"error": {"message": "This model's maximum context length is 4096 tokens."}})

    kind: Flavour = "chat" if flavour == "native" else "vllm"
    server = FakeServer(kind, reads, functions=flavour == "native")
    server.faults = [server.generate] * 3 + [overflow]
    async with server:
        with RunStore(tmp_path / "runs.sqlite") as store:
            model = HttpModel(server.url, "toy", context=20_000)  # more than the server has
            config = AgentConfig(encoder="hash", limits=Limits(actions=12))
            ended = await Agent(model, [page], config=config, store=store).run("Read five pages.")
            events = [recorded.event for recorded in store.events(ended.id)]
    assert_promises(events)
    assert (ended.status, ended.answer, ended.folds) == ("answered", "done", 1)
    assert [event.reason for event in events if isinstance(event, Folded)] == ["window"]


async def test_an_overflow_that_folding_does_not_mend_ends_the_run_as_truncated(tmp_path):
    async def overflow(exchange: Exchange) -> None:
        await exchange.answer(400, {"error": {"message": "maximum context length exceeded"}})

    server = FakeServer("vllm", speaks)
    server.faults = [overflow] * 50
    async with server:
        with RunStore(tmp_path / "runs.sqlite") as store:
            config = AgentConfig(encoder="hash")
            ended = await Agent(HttpModel(server.url), [price], config=config, store=store).run("What is it?")
    assert (ended.status, ended.answer) == ("truncated", None)
    assert len(server.generations) <= 4


@FLAVOURS
async def test_who_watches_a_reply_that_breaks_off_is_told_that_it_begins_anew(flavour, tmp_path):
    kind: Flavour = "chat" if flavour == "native" else flavour
    said = "It is 85." if flavour == "native" else "The answer is \\boxed{85}"
    server = FakeServer(kind, said, functions=flavour == "native")
    server.faults = [lambda exchange: half_an_event(exchange, server)]
    text = ""
    async with server:
        with RunStore(tmp_path / "runs.sqlite") as store:
            model = HttpModel(server.url, "toy", retries=2)
            agent = Agent(model, [price], config=HASHED, store=store)
            async for item in agent.stream("How much?"):
                if isinstance(item, Delta):
                    text = "" if item.restarted else text + item.text
    assert text == said


async def test_a_result_that_the_server_cannot_even_tokenise_is_not_lost(tmp_path):
    class Small(FakeServer):
        async def _route(self, exchange: Exchange) -> None:
            if exchange.path == "/tokenize" and len(exchange.body.get("prompt", "")) > 1000:
                await exchange.answer(400, {"error": {"message": "exceeds max_model_len"}})
            else:
                await super()._route(exchange)

    done = []

    @tool
    def pay(usd: int) -> str:
        """Pays."""
        done.append(usd)
        return "paid. " * 300

    def speaks(body: Any) -> Any:
        return "<answer>ok</answer>" if done else '<tool_call>{"name": "pay", "arguments": {"usd": 5}}</tool_call>'

    async with Small("vllm", speaks) as server:
        with RunStore(tmp_path / "runs.sqlite") as store:
            config = AgentConfig(encoder="hash")
            ended = await Agent(HttpModel(server.url), [pay], config=config, store=store).run("Pay.")
            events = [recorded.event for recorded in store.events(ended.id)]
    assert (ended.answer, done) == ("ok", [5])
    assert [event.observation.ok for event in events if isinstance(event, Observed)] == [True]
