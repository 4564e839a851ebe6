"""Nothing that was seen is out of reach."""

import pytest

from deepagent.actions import Call, Observation
from deepagent.errors import InvalidArgumentsError
from deepagent.memory.recall import recall_tool
from deepagent.runs.events import Intended, Observed, Started
from deepagent.runs.store import RunStore
from deepagent.transcript import Segment

STARTED = Started(run="r", task="t", model="m", context=8192, settings={})


@pytest.fixture
def recall(tmp_path):
    with RunStore(tmp_path / "runs.sqlite") as store:
        log = store.new_run()
        log.append(STARTED)
        for number, text in ((1, "the code is 7319"), (2, "nothing here")):
            log.append(
                Intended(step=number, thought="", action=Call(name="look", arguments={"n": number})),
                Observed(
                    step=number,
                    observation=Observation(text=text),
                    segment=Segment(kind="observation", text=text),
                    seconds=0,
                ),
            )
        log.keep("r2", "".join(f"{n:05d}\n" for n in range(2000)))
        yield recall_tool(log).invoke


async def test_a_step_comes_back_word_for_word(recall):
    assert "result: the code is 7319" in await recall({"id": "1"})
    assert await recall({"id": "step 1"}) == await recall({"id": "1"})


async def test_a_stored_result_comes_back_in_any_piece(recall):
    piece = await recall({"id": "r2", "start": 6000, "length": 12})
    assert piece.startswith("01000\n01001\n")
    assert "characters 6000-6012 of 12000" in piece
    assert await recall({"id": "r2", "start": 11994}) == "01999\n"


async def test_words_lead_to_the_steps_that_mention_them(recall):
    assert await recall({"query": "code 7319"}) == "id \"1\": [step 1] call look {'n': 1} result: the code is 7319"
    assert "no earlier step" in await recall({"query": "zebra"})


async def test_a_step_that_asks_does_not_find_itself(tmp_path):
    with RunStore(tmp_path / "other.sqlite") as store:
        log = store.new_run()
        log.append(STARTED, Intended(step=1, thought="", action=Call(name="recall", arguments={"query": "zebra"})))
        assert "no earlier step" in await recall_tool(log).invoke({"query": "zebra"})


@pytest.mark.parametrize("arguments", [{}, {"id": "99"}, {"id": "nonsense"}])
async def test_what_does_not_exist_is_said_so(recall, arguments):
    with pytest.raises(InvalidArgumentsError):
        await recall(arguments)
