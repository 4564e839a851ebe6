"""Nothing that was seen is out of reach."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepagent.actions import Call, Execute, Observation
from deepagent.errors import InvalidArgumentsError
from deepagent.memory.archive import Archive
from deepagent.memory.recall import recall_tool
from deepagent.runs.events import Intended, Observed, Started, ToolCalled, ToolReturned
from deepagent.runs.log import RunLog
from deepagent.runs.store import RunStore
from deepagent.transcript import Segment


def begin(log: RunLog) -> None:
    log.append(Started(run=log.id, task="t", model="m", context=8192, settings={}))


def see(log: RunLog, number: int, text: str, artifact: str | None = None, name: str = "look") -> None:
    action = Call(name=name, arguments={"n": number})
    segment = Segment(kind="observation", text=text)
    log.append(
        Intended(step=number, thought="", action=action),
        Observed(step=number, observation=Observation(text=text, artifact=artifact), segment=segment, seconds=0),
    )


@pytest.fixture
def log(tmp_path):
    with RunStore(tmp_path / "runs.sqlite") as store:
        log = store.new_run()
        begin(log)
        see(log, 1, "the code is 7319")
        log.keep("r2", "".join(f"{n:05d}\n" for n in range(2000)))
        see(log, 2, "00000\n[...]\n01999\n", artifact="r2")
        log.keep("r3", json.dumps({"items": [{"name": "kettle", "price": 19}, {"name": "lamp", "price": 7}]}))
        see(log, 3, "cut", artifact="r3")
        yield log


@pytest.fixture
def recall(log):
    archive = Archive(log)
    yield recall_tool(archive).invoke
    archive.close()


async def test_a_step_comes_back_word_for_word(recall):
    assert await recall({"id": "1"}) == "[step 1] call look {'n': 1}\nresult: the code is 7319"
    assert await recall({"id": "step 1"}) == await recall({"id": "1"})


async def test_a_stored_result_comes_back_in_any_piece(recall):
    piece = await recall({"id": "r2", "start": 6000, "length": 12})
    assert piece.startswith("01000\n01001\n")
    assert "characters 6000-6012 of 12000" in piece
    assert await recall({"id": "r2", "start": 11994}) == "01999\n"


async def test_a_step_whose_result_was_cut_comes_back_whole(recall):
    assert "00001\n00002" in await recall({"id": "2"})


async def test_a_path_selects_a_part_of_a_json_result(recall):
    assert await recall({"id": "r3", "path": "$.items[1].name"}) == "lamp"
    assert await recall({"id": "3", "path": "$.items[?@.price > 10].name"}) == "kettle"
    assert await recall({"id": "r3", "path": "$.items[*].price"}) == "[19, 7]"
    assert await recall({"id": "r3", "path": "$.nothing"}) == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"id": "r2", "path": "$.a"}, "is not JSON"),
        ({"id": "r3", "path": "items["}, "cannot be used"),
        ({"id": "r3", "path": "$[?match(@.name, '(a+)+$')]"}, "may not hold match"),
        ({"id": "99"}, "nothing is stored"),
        ({"id": "nonsense"}, "nothing is stored"),
        ({}, "give an id"),
    ],
)
async def test_what_cannot_be_given_is_said_in_words(recall, arguments, said):
    with pytest.raises(InvalidArgumentsError, match=said):
        await recall(arguments)


async def test_words_lead_to_the_steps_that_mention_them(recall):
    assert await recall({"query": "code 7319"}) == "id \"1\": [step 1] call look {'n': 1} result: the code is 7319"
    assert "nothing earlier mentions" in await recall({"query": "zebra"})


async def test_words_in_the_middle_of_a_large_result_lead_to_their_place(log, recall):
    log.keep("r4", "x " * 5000 + "the keeper's telephone is 5551 " + "y " * 5000)
    see(log, 4, "x x [...] y y", artifact="r4")
    line, *_ = (await recall({"query": "telephone of the keeper"})).splitlines()
    assert line.startswith('id "r4" start 10000: the keeper\'s telephone is 5551')
    assert (await recall({"id": "r4", "start": 10000, "length": 30})).startswith("the keeper's telephone is 5551")


async def test_words_are_compared_by_their_stems_and_in_any_script(log, recall):
    see(log, 4, "Bookings for 東京駅前ホテル were made. שלום")
    for query in ("booking", "東京", "שלום"):
        assert 'id "4"' in await recall({"query": query})


@pytest.mark.parametrize("query", ['" OR 1', "NEAR(a b)", "words: *", "^", "'; DROP TABLE texts; --", "\x00", "🙂"])
async def test_a_query_is_words_and_no_language(recall, query):
    assert isinstance(await recall({"query": query}), str)


async def test_the_calls_that_code_made_have_ids_too(log, recall):
    log.keep("r5.2", "long " * 1000)
    log.append(
        Intended(step=5, thought="", action=Execute(code="look(n=1); look(n=2)")),
        ToolCalled(step=5, call=1, name="look", arguments={"n": 1}),
        ToolReturned(step=5, call=1, result="a zebra"),
        ToolCalled(step=5, call=2, name="look", arguments={"n": 2}),
        ToolReturned(step=5, call=2, result="long [...] long", artifact="r5.2"),
        Observed(step=5, observation=Observation(text="done"), segment=Segment(kind="observation", text=""), seconds=0),
    )
    assert await recall({"id": "5.1"}) == "[call 5.1] look {'n': 1}\nresult: a zebra"
    assert 'id "5.1"' in await recall({"query": "zebra"})
    assert "long long long" in await recall({"id": "5.2", "length": 100})


async def test_what_was_recalled_is_not_found_again(log, recall):
    see(log, 4, "the code is 7319", name="recall")
    assert (await recall({"query": "code 7319"})).count("id ") == 1


async def test_a_step_that_asks_does_not_find_itself(log, recall):
    log.append(Intended(step=4, thought="", action=Call(name="recall", arguments={"query": "zebra"})))
    assert "nothing earlier mentions" in await recall({"query": "zebra"})


async def test_a_log_that_is_opened_again_is_recalled_like_before(tmp_path, log):
    log.release()
    with RunStore(tmp_path / "runs.sqlite") as store:
        again = store.open_run(log.id)
        see(again, 4, "seen after the resume")
        archive = Archive(again)
        recall = recall_tool(archive).invoke
        assert "the code is 7319" in await recall({"id": "1"})
        assert 'id "4"' in await recall({"query": "resume"})
        archive.close()


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3000), min_size=1, max_size=8))
async def test_every_result_ever_seen_comes_back(tmp_path_factory, texts):
    with RunStore(tmp_path_factory.mktemp("log") / "runs.sqlite") as store:
        log = store.new_run()
        begin(log)
        archive = Archive(log)
        recall = recall_tool(archive, length=10_000).invoke
        for number, text in enumerate(texts, start=1):
            see(log, number, text)
            if number % 3 == 0:
                await recall({"query": "anything"})
        for number, text in enumerate(texts, start=1):
            assert (await recall({"id": str(number)})).endswith(f"result: {text}")
        archive.close()
