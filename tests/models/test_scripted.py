import pytest

from deepagent.errors import ContextOverflowError, ModelReplyError
from deepagent.models import Model, Sampling, ScriptedModel
from deepagent.models.base import Watch
from deepagent.transcript import Message, Window

GREEDY = Sampling()


async def open_window(model: Model) -> Window:
    messages = [Message(role="system", content="Be brief."), Message(role="user", content="How many?")]
    return Window(messages, [await model.prompt(messages)])


async def test_replies_come_in_order_and_then_the_script_is_at_its_end():
    async with ScriptedModel(["one", "two"]) as model:
        window = await open_window(model)
        texts = [(await model.generate(window, GREEDY)).segment.text for _ in range(2)]
        with pytest.raises(ModelReplyError, match="reply 3 was asked for, replies has 2"):
            await model.generate(window, GREEDY)
    assert texts == ["one", "two"]


async def test_a_function_may_write_the_reply_from_the_window():
    model = ScriptedModel(lambda window: f"{len(window.segments)} segment")
    assert (await model.generate(await open_window(model), GREEDY)).segment.text == "1 segment"


async def test_the_first_stop_string_ends_the_reply_and_stays_in_it():
    model = ScriptedModel(["a</call>b</end>c"])
    generated = await model.generate(await open_window(model), GREEDY, stop=["</end>", "</call>"])
    assert (generated.segment.text, generated.finish) == ("a</call>", "stop")


async def test_watch_sees_the_reply_as_it_grows_and_may_end_it():
    seen: list[str] = []

    def watch(delta: str) -> bool:
        seen.append(delta)
        return len(seen) == 2

    model = ScriptedModel(["abcdefghijkl"])
    generated = await model.generate(await open_window(model), GREEDY, listen=lambda: watch)
    assert (generated.segment.text, generated.finish, seen) == ("abcdefgh", "watch", ["abcd", "efgh"])


async def test_max_tokens_cuts_the_reply():
    model = ScriptedModel(["x" * 100])
    generated = await model.generate(await open_window(model), Sampling(max_tokens=3))
    assert (generated.segment.text, generated.finish) == ("x" * 12, "length")
    assert generated.usage.completion_tokens == 3


async def test_a_full_window_is_an_overflow():
    model = ScriptedModel(["never written"], context=25)
    window = await open_window(model)
    with pytest.raises(ContextOverflowError, match="of 25 tokens"):
        await model.generate(window, GREEDY)


async def test_an_extended_window_is_served_from_the_cache():
    model = ScriptedModel(["first", "second"])
    window = await open_window(model)
    size = window.tokens
    window.append((await model.generate(window, GREEDY)).segment)
    window.append(await model.observation("seen"))
    usage = (await model.generate(window, GREEDY)).usage
    assert (usage.cached_tokens, usage.prompt_tokens) == (size, window.tokens)


@pytest.mark.parametrize("asked", [True, False])
async def test_logprobs_are_given_when_asked_for(asked: bool):
    model = ScriptedModel(["some reply"])
    segment = (await model.generate(await open_window(model), Sampling(logprobs=asked))).segment
    assert (segment.logprobs is not None) is asked
    assert segment.logprobs is None or len(segment.logprobs) == len(segment.token_ids or ())


async def test_chat_answers_come_from_their_own_script():
    listed = ScriptedModel(chat_replies=["{}"])
    computed = ScriptedModel(chat_replies=lambda messages, schema: f"{messages[0].content} {schema}")
    asked = [Message(role="user", content="sum")]
    assert (await listed.chat(asked, GREEDY)).segment.text == "{}"
    assert (await computed.chat(asked, GREEDY, schema={"type": "object"})).segment.text == "sum {'type': 'object'}"
    assert listed.conversations == [tuple(asked)]
    with pytest.raises(ModelReplyError, match="chat_replies has 1"):
        await listed.chat(asked, GREEDY)


def watching(_: str) -> bool:
    return True


async def test_watch_on_the_last_piece_changes_nothing():
    watch: Watch = watching
    model = ScriptedModel(["abc"])
    assert (await model.generate(await open_window(model), GREEDY, listen=lambda: watch)).finish == "stop"
