"""The loop on a model that calls functions."""

import asyncio
import json

import pytest

from deepagent import Agent, AgentConfig, Limits, RunStore, tool
from deepagent.actions import Call
from deepagent.errors import ConfigError, SandboxError, ToolDefinitionError
from deepagent.runs.events import Intended, Observed, Replied, WindowOpened
from deepagent.transcript import Message
from tests.memory.test_folder import good
from tests.support import HASHED, Recording, WatchedModel, answer, calling, record

FEW = AgentConfig(encoder="hash", cards=1)


@tool(effect="pure")
def price(sku: str) -> int:
    """Price of an article in USD."""
    return {"lamp": 40, "chair": 85}[sku]


@tool(effect="pure")
def stock(sku: str) -> int:
    """Pieces of an article in stock."""
    return 3


async def run(replies, folder, **options) -> Recording:
    return await record(replies, folder, functions=True, tools=options.pop("tools", [price, stock]), **options)


def final(text: str) -> Message:
    return Message(role="assistant", content=text)


async def test_the_tools_are_functions_and_a_reply_without_a_call_is_the_answer(tmp_path):
    recording = await run([calling(("price", {"sku": "lamp"}), content="I look."), final("40")], tmp_path)
    assert recording.run.answer == "40"
    opened = recording.of(WindowOpened)[0]
    assert [function.name for function in opened.functions] == ["execute", "fold_thought", "recall", "price", "stock"]
    assert recording.of(Intended)[0].action == Call(name="price", arguments={"sku": "lamp"})
    assert recording.observations == ["40"]


async def test_every_result_answers_its_call(tmp_path):
    recording = await run([calling(("price", {"sku": "lamp"})), final("40")], tmp_path)
    reply, result = [segment.message for segment in recording.model.windows[1].segments[1:]]
    assert reply == recording.of(Replied)[0].generated.segment.message
    assert result == Message(role="tool", content="40", answers="c0")


async def test_search_execute_and_found_tools_work_through_functions_that_never_change(tmp_path):
    replies = [
        calling(("tool_search", {"query": "price of an article"})),
        calling(("tool_call", {"name": "price", "arguments": {"sku": "chair"}})),
        calling(("execute", {"code": "print(price(sku='lamp') + price(sku='chair'))"})),
        final("125"),
    ]
    recording = await run(replies, tmp_path, config=FEW)
    assert recording.run.answer == "125"
    assert recording.observations[1:] == ["85", "125"]
    offered = [[function.name for function in window.functions] for window in recording.model.windows]
    assert offered == [["tool_search", "tool_call", "execute", "fold_thought", "recall"]] * 4


async def test_calls_of_one_reply_run_at_the_same_time_and_are_steps_of_their_own(tmp_path):
    meeting = asyncio.Barrier(3)

    @tool(effect="pure")
    async def meet(name: str) -> str:
        """Waits until all are here."""
        await meeting.wait()
        return f"{name} is here"

    reply = calling(*[("meet", {"name": name}) for name in ("Ada", "Lin", "Mei")], content="All at once.")
    recording = await run([reply, final("done")], tmp_path, tools=[meet])
    assert recording.run.steps == 4
    assert [event.step for event in recording.of(Intended)] == [1, 2, 3, 4]
    assert [event.thought for event in recording.of(Intended)[:3]] == ["All at once.", "", ""]
    assert recording.observations == ["Ada is here", "Lin is here", "Mei is here"]
    messages = [segment.message for segment in recording.model.windows[1].segments[1:]]
    assert [message.answers for message in messages] == [None, "c0", "c1", "c2"]


async def test_many_results_of_one_reply_share_the_room_of_two(tmp_path):
    @tool(effect="pure")
    def long(n: int) -> str:
        """A long text."""
        return f"{n} " * 5000

    recording = await run([calling(*[("long", {"n": n}) for n in range(10)]), final("done")], tmp_path, tools=[long])
    assert sum(len(text) for text in recording.observations) < 3 * 700 * 3
    assert all("recall(id=" in text for text in recording.observations)


async def test_calls_beyond_the_limit_of_actions_are_answered_but_not_done(tmp_path):
    done = []

    @tool
    def note(n: int) -> str:
        """Notes."""
        done.append(n)
        return "noted"

    config = HASHED.model_copy(update={"limits": Limits(actions=2)})
    replies = [calling(*[("note", {"n": n}) for n in range(4)]), final("enough")]
    recording = await run(replies, tmp_path, tools=[note], config=config)
    assert sorted(done) == [0, 1]
    assert [event.observation.error for event in recording.of(Observed)] == [None, None, "limit", "limit"]
    assert (recording.run.status, recording.run.answer) == ("forced", "enough")


async def test_what_a_call_gets_wrong_is_answered_under_its_id(tmp_path):
    replies = [
        calling(("price", "{nonsense"), ("nobody", {}), ("price", {"sku": "lamp"}), ("fold_thought", {})),
        final("40"),
    ]
    recording = await run(replies, tmp_path)
    broken, unknown, right, fold = recording.observations
    assert "no JSON object" in broken
    assert "no tool named 'nobody'" in unknown
    assert right == "40"
    assert "only action" in fold
    answered = [segment.message.answers for segment in recording.model.windows[1].segments[2:]]
    assert answered == ["c0", "c1", "c2", "c3"]


async def test_an_empty_reply_is_left_out_of_the_conversation(tmp_path):
    recording = await run([final(""), final("40")], tmp_path)
    assert recording.run.answer == "40"
    roles = [segment.message.role if segment.message else "user" for segment in recording.model.windows[1].segments[1:]]
    assert roles == ["user"]


async def test_repeated_calls_stay_in_the_conversation_with_their_results(tmp_path):
    again = calling(("price", {"sku": "lamp"}))
    recording = await run([again, again, final("40")], tmp_path)
    assert recording.of(Observed)[1].observation.repeats == 1
    assert not recording.of(Observed)[1].dropped
    assert len(recording.model.windows[2].segments) == 5


async def test_a_long_run_folds_and_the_next_window_offers_the_same_functions(tmp_path):
    @tool(effect="pure")
    def reading(day: int) -> str:
        """The meter's reading of one day."""
        return f"day {day}: {day * 7} units. " + "The meter was read at noon. " * 12

    day = 0

    def reply(window):
        nonlocal day
        day += 1
        return calling(("reading", {"day": day})) if day < 30 else final("done")

    config = HASHED.model_copy(update={"limits": Limits(actions=60, folds=9)})
    recording = await run(reply, tmp_path, tools=[reading], config=config, context=4096, chat_replies=good)
    assert recording.run.answer == "done"
    assert recording.run.folds >= 1
    first, second = recording.of(WindowOpened)[:2]
    assert second.functions == first.functions
    assert second.segments[0] == first.segments[0]
    assert "Memory of your work on this task" in second.segments[1].text


async def test_reasoning_is_kept_with_its_message(tmp_path):
    recording = await run([calling(("price", {"sku": "lamp"}), reasoning="hm"), final("40")], tmp_path)
    assert recording.of(Intended)[0].thought == "hm"
    assert recording.model.windows[1].segments[1].message.reasoning == "hm"


async def test_the_settings_choose_the_dialect(tmp_path):
    tags = HASHED.model_copy(update={"dialect": "tags"})
    recording = await run([answer("7")], tmp_path, config=tags)
    assert recording.run.answer == "7"
    assert recording.of(WindowOpened)[0].functions == ()
    with pytest.raises(ConfigError, match="takes no functions"):
        await record([answer("7")], tmp_path, config=HASHED.model_copy(update={"dialect": "native"}))


async def test_an_old_log_without_functions_is_still_read():
    from deepagent.runs.events import EVENT

    old = {"kind": "window_opened", "number": 1, "messages": [{"role": "user", "content": "x"}], "segments": []}
    assert EVENT.validate_json(json.dumps(old)).functions == ()


async def test_what_was_done_before_an_interruption_has_an_outcome(tmp_path):
    done = []

    @tool
    def quick(n: int) -> str:
        """Is done at once."""
        done.append(n)
        return "done"

    @tool
    async def slow() -> str:
        """Never ends."""
        await asyncio.Event().wait()
        return "never"

    config = HASHED.model_copy(update={"limits": Limits(seconds=0.5)})
    replies = [calling(("quick", {"n": 1}), ("slow", {})), final("enough")]
    recording = await run(replies, tmp_path, tools=[quick, slow], config=config)
    assert done == [1]
    assert [event.observation.error for event in recording.of(Observed)] == [None, "interrupted"]
    assert (recording.run.status, recording.run.answer) == ("forced", "enough")
    answered = [segment.message.answers for segment in recording.model.windows[1].segments[2:4]]
    assert answered == ["c0", "c1"]


async def test_a_tool_that_cannot_be_offered_ends_the_run_in_the_log(tmp_path):
    @tool
    def execute() -> str:
        """Takes a name that is taken."""
        return ""

    model = WatchedModel([final("x")], functions=True)
    with RunStore(tmp_path / "runs.sqlite") as store:
        with pytest.raises(ToolDefinitionError, match="rename"):
            await Agent(model, [execute], config=HASHED, store=store).run("Do it.")
        assert store.runs()[0].ended.status == "failed"


async def test_calls_end_with_the_run(tmp_path):
    """A broken sandbox ends the run; the sibling call must not go on behind its back."""
    gone = asyncio.Event()

    @tool
    async def breaks() -> str:
        """Breaks what the run stands on."""
        raise SandboxError("the walls fell")

    @tool
    async def slow() -> str:
        """Takes its time, and tidies up."""
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return ""

    model = WatchedModel([calling(("slow", {}), ("breaks", {}))], functions=True)
    with RunStore(tmp_path / "runs.sqlite") as store, pytest.raises(SandboxError):
        await Agent(model, [breaks, slow], config=HASHED, store=store).run("Do it.")
    assert gone.is_set()
