"""deepagent on a real vLLM server."""

import asyncio
import json
import re
import urllib.request
from itertools import pairwise
from pathlib import Path

import pytest

from deepagent import Agent
from deepagent.errors import ContextOverflowError
from deepagent.grammar import Grammar, HeldTag
from deepagent.models import Sampling
from deepagent.models.http import HttpModel
from deepagent.runs.events import Folded, Intended, Observed, Replied, WindowOpened
from deepagent.runs.store import RunStore
from deepagent.transcript import FunctionCall, Message, Segment, Window
from tests.support import assert_promises, rebuild_prompts
from tests.vllm.conftest import BLOCK, CONTEXT
from tests.vllm.steered import CONFIG, IN_TAGS, NATIVE, SteeredModel, price, stock

MESSAGES = [Message(role="user", content="Write the numbers from one to ninety as words, with commas between them.")]


class ForcedGrammar(Grammar):
    """A grammar that lets no reply end without an action, as a small model would."""

    @property
    def structural_tag(self) -> str:
        return super().structural_tag.replace('"at_least_one": false', '"at_least_one": true')


async def open_window(model: HttpModel) -> Window:
    return Window(MESSAGES, [await model.prompt(MESSAGES)])


@pytest.mark.parametrize("dialect", ["tags", "native"])
async def test_a_run_with_search_call_code_and_fold(url: str, tmp_path: Path, dialect: str):
    plan = IN_TAGS if dialect == "tags" else NATIVE
    model = SteeredModel(url, plan, api="chat" if dialect == "native" else "completions", turns=dialect == "tags")
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = await Agent(model, [price, stock], config=CONFIG, store=store).run("What does a chair cost?")
        events = [recorded.event for recorded in store.events(run.id)]
    assert_promises(events)
    assert run.status == "answered"
    kinds = [event.action.kind for event in events if isinstance(event, Intended)]
    assert kinds == ["search", "call", "execute", "call", "fold", "call", "answer"]
    assert all(event.observation.ok for event in events if isinstance(event, Observed))
    assert len([event for event in events if isinstance(event, Folded)]) == 1

    # The ids of each step begin with the ids of the step before; only the fold opens a new window.
    before_fold = kinds.index("fold") + 1
    assert len(model.prompts) == len(plan)
    for window in (model.prompts[:before_fold], model.prompts[before_fold:]):
        for earlier, later in pairwise(window):
            assert later[: len(earlier)] == earlier
    if dialect == "tags":
        assert [ids for _, ids in rebuild_prompts(events)] == [body["prompt"] for body in model.requests]
        assert [body["prompt"] for body in model.requests] == model.prompts

    # And so all whole blocks of an earlier prompt come from the cache.
    replies = [event.generated for event in events if isinstance(event, Replied)]
    for number in [*range(1, before_fold), *range(before_fold + 1, len(replies))]:
        used = replies[number].usage
        assert used.prompt_tokens == len(model.prompts[number])
        assert used.estimated == (replies[number].finish == "watch"), "the cache is reported at the end only"
        assert used.estimated or used.cached_tokens >= len(model.prompts[number - 1]) // BLOCK * BLOCK - BLOCK
    opened = [event for event in events if isinstance(event, WindowOpened)]
    assert opened[1].segments[0] == opened[0].segments[0]


async def test_segments_hold_the_ids_as_they_were_generated(url: str):
    async with HttpModel(url) as model:
        window = await open_window(model)
        generated = await model.generate(window, Sampling(max_tokens=40, logprobs=True), stop=["three"])
        segment = generated.segment
        server = model._opened
        assert await server.detokenize(segment.token_ids) == segment.text
    assert "three" in segment.text.lower()
    assert segment.logprobs is not None
    assert len(segment.logprobs) == segment.tokens
    assert all(value is not None and value <= 0 for value in segment.logprobs)
    assert generated.usage.completion_tokens == segment.tokens


async def test_the_end_token_is_no_part_of_the_stream(url: str):
    messages = [Message(role="user", content="Say hello in one word.")]
    async with HttpModel(url) as model:
        window = Window(messages, [await model.prompt(messages)])
        heard: list[str] = []
        generated = await model.generate(
            window, Sampling(max_tokens=30), listen=lambda: lambda delta: heard.append(delta) is not None
        )
    assert generated.finish == "stop"
    assert "<|" not in generated.segment.text
    assert "".join(heard) == generated.segment.text
    assert 151645 not in generated.segment.token_ids


async def test_tags_that_are_vocabulary_tokens_are_rendered_and_read_as_text(url: str):
    """`<tool_call>` is one token of this model's vocabulary, `<tool_call_result>` is none."""
    async with HttpModel(url) as model:
        shown = await model.observation("<tool_call><tool_call_result><|im_end|>")
        server = model._opened
        assert await server.detokenize(shown.token_ids) == shown.text
        assert 151657 in shown.token_ids
        assert 151645 not in shown.token_ids, "a control token in what a tool says is text"


async def test_a_grammar_leaves_thoughts_free_and_holds_calls(url: str):
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["weather"]}, "arguments": {"type": "object", "properties": {
            "city": {"enum": ["Oslo"]}, "days": {"type": "integer"}}, "required": ["city", "days"],
            "additionalProperties": False}},
        "required": ["name", "arguments"], "additionalProperties": False,
    }  # fmt: skip
    grammar = Grammar(tags=(HeldTag(begin="<tool_call>", schema_=schema, end="</tool_call>"),))
    forced = ForcedGrammar(tags=grammar.tags)
    stop, few = ["</tool_call>"], Sampling(max_tokens=60)
    async with HttpModel(url) as model:
        window = await open_window(model)
        free = (await model.generate(window, few, stop=stop)).segment
        held = (await model.generate(window, few, stop=stop, grammar=grammar)).segment
        called = (await model.generate(window, few, stop=stop, grammar=forced)).segment
    assert held.token_ids == free.token_ids, "what is no action is not touched"
    call = json.loads(called.text.partition("<tool_call>")[2].removesuffix("</tool_call>"))
    assert call["name"] == "weather"
    assert call["arguments"]["city"] == "Oslo"
    assert isinstance(call["arguments"]["days"], int)


async def test_a_grammar_that_the_server_refuses_is_left_out(url: str):
    broken = Grammar(tags=(HeldTag(begin="<c>", schema_={"$ref": "#/nowhere"}, end="</c>"),))
    async with HttpModel(url, retries=0) as model:
        window = await open_window(model)
        generated = await model.generate(window, Sampling(max_tokens=20), grammar=broken)
    assert generated.segment.tokens > 0


async def test_chat_is_held_to_a_schema(url: str):
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    async with HttpModel(url) as model:
        reply = await model.chat([Message(role="user", content="2 + 3?")], Sampling(max_tokens=40), schema=schema)
    assert isinstance(json.loads(reply.segment.text)["sum"], int)


async def test_replayed_reasoning_reaches_the_prompt(url: str):
    call = FunctionCall(id="call00000", name="price", arguments='{"sku": "lamp"}')
    said = Message(role="assistant", content="", reasoning="MARK of a thought", calls=(call,))
    model = SteeredModel(url, (None,), api="chat")
    async with model:
        window = Window(MESSAGES, [await model.prompt(MESSAGES)], [])
        functions = [_function()]
        window = Window(MESSAGES, [await model.prompt(MESSAGES, functions)], functions)
        window.append(Segment(kind="generated", text=said.text, message=said))
        window.append(await model.observation("40", answers="call00000"))
        await model.generate(window, Sampling(max_tokens=5))
    async with HttpModel(url) as reader:
        rendered = await reader._opened.detokenize(model.prompts[0])
    assert "<think>MARK of a thought</think>" in rendered


def _function():
    from deepagent.transcript import Function

    return Function(name="price", description="Price.", parameters=price.spec.parameters)


async def test_an_overflow_is_named(url: str):
    async with HttpModel(url, context=4 * CONTEXT) as model:
        window = await open_window(model)
        window.append(Segment(kind="observation", text="x", token_ids=(87,) * (CONTEXT + 10)))
        with pytest.raises(ContextOverflowError):
            await model.generate(window, Sampling())


async def test_the_window_is_the_servers(url: str):
    async with HttpModel(url) as model:
        assert (model.context, model.name) == (CONTEXT, "qwen")


def _running(url: str) -> float:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics") as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(r"^vllm:num_requests_running{.*} (\S+)$", text, re.MULTILINE))


async def test_cancelling_stops_the_server(url: str):
    started = asyncio.Event()

    def heard(delta: str) -> bool:
        started.set()
        return False

    async def idle() -> bool:
        return await asyncio.to_thread(_running, url) == 0

    async with HttpModel(url) as model:
        window = await open_window(model)
        work = asyncio.create_task(model.generate(window, Sampling(max_tokens=4000), listen=lambda: heard))
        await started.wait()
        assert await asyncio.to_thread(_running, url) == 1
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        async with asyncio.timeout(20):
            while not await idle():
                pass


async def test_several_runs_share_the_server(url: str, tmp_path: Path):
    plan = (IN_TAGS[0], IN_TAGS[1], IN_TAGS[-1])

    async def one(number: int) -> str:
        model = SteeredModel(url, plan, turns=True)
        return (await Agent(model, [price, stock], config=CONFIG, store=store).run(f"Task {number}")).status

    with RunStore(tmp_path / "runs.sqlite") as store:
        assert await asyncio.gather(*(one(number) for number in range(4))) == ["answered"] * 4
