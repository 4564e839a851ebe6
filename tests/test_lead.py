"""How a run begins with a small model: it is led into saying what it needs, instead of guessing."""

import json

import pytest

from deepagent import Agent
from deepagent.agent import Delta
from deepagent.models.base import Sampling
from deepagent.models.scripted import token_ids
from deepagent.runs.events import Intended, WindowOpened
from deepagent.runs.export.chat import conversations
from deepagent.runs.store import RunStore
from deepagent.training.sequences import sequences
from deepagent.transcript import Segment
from tests.support import HASHED, Recording, WatchedModel, assert_promises
from tests.test_doubts import pupils
from tests.training.test_sequences import decoder, written

LED = HASHED.model_copy(update={"doubts": True})
SCRIPT = [' the number of pupils.\n<tool_call>{"name": "pupils", "arguments": {}}', "<answer>24</answer>"]


class Small(WatchedModel):
    """A model that takes turns."""

    async def lead(self, text):
        return Segment(kind="observation", text=text, token_ids=token_ids(text))


async def led(folder, model, tools=(pupils,), config=LED):
    with RunStore(folder / "runs.sqlite") as store:
        run = await Agent(model, tools, config=config, store=store).run("How many pupils are there?")
        recorded = store.events(run.id)
    recording = Recording(run, [one.event for one in recorded], model)
    assert_promises(recording.events, model)
    return recording, recorded


async def test_the_lead_is_part_of_the_first_thought_and_of_the_stream(tmp_path):
    model = Small(SCRIPT)
    recording, _ = await led(tmp_path, model)
    assert recording.run.answer == "24"
    assert [event.thought for event in recording.of(Intended)] == ["I need the number of pupils.", ""]
    assert [segment.text for segment in model.windows[0].segments[1:]] == ["I need"]


@pytest.mark.parametrize(
    ("kind", "tools", "config"),
    [(WatchedModel, (pupils,), LED), (Small, (), LED), (Small, (pupils,), HASHED)],
    ids=["who does not take turns", "without tools", "without doubts"],
)
async def test_nobody_else_is_led(tmp_path, kind, tools, config):
    recording, _ = await led(tmp_path, kind(["<answer>24</answer>"] * 3), tools, config)
    (opened,) = recording.of(WindowOpened)
    assert (opened.begun, len(opened.segments)) == ("", 1)


async def test_the_lead_is_heard_as_the_model_writes():
    agent = Agent(Small(SCRIPT), [pupils], config=LED)
    heard = [item.text async for item in agent.stream("How many pupils are there?") if isinstance(item, Delta)]
    assert "".join(heard).startswith("I need the number of pupils.")


async def test_a_conversation_holds_it_and_nobody_learns_it(tmp_path):
    config = LED.model_copy(update={"sampling": Sampling(logprobs=True)})
    recording, recorded = await led(tmp_path, Small(SCRIPT), config=config)
    (conversation,) = conversations(recorded)
    said = [
        one["content"]
        for one in json.loads(conversation)["messages"]
        if one["role"] == "assistant" and one.get("weight") != 0
    ]
    assert said[0].startswith("I need the number of pupils.\n<tool_call>")

    first, *_ = sequences(recording.events, decoder(recording))
    assert first.prompt_ids[-2:] == token_ids("I need")
    thought = written(first, decoder(recording), actions=False)
    assert thought.startswith(" the number of pupil"), "up to the token that the action begins in"
    assert "tool_call" not in thought
