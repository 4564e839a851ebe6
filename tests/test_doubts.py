"""What speaks against an answer: read from the log, said once, and never to a model that insists."""

import pytest

from deepagent.actions import PARTIAL, UNSEEN, UNTRIED, Answer, Call, Execute, Observation, Search
from deepagent.doubts import FAILED, UNFINISHED, Doubts, parts
from deepagent.retrieval import Hit
from deepagent.runs.events import Intended, Observed
from deepagent.tools import Tool, ToolSpec
from deepagent.toolsets.functions import tool
from deepagent.transcript import Segment
from tests.support import HASHED, answer, call, execute, record

DOUBTING = HASHED.model_copy(update={"doubts": True})
TASK = "Find three numbers.\n1. How many pupils?\n2. What does a ticket cost?\n3. What does the bus cost?"


@tool(effect="pure")
def pupils() -> int:
    """How many pupils there are."""
    return 24


@tool(effect="pure")
def pupils_of(school_class: str) -> int:
    """How many pupils a class has."""
    return 24


def doubts(*done, task="How many pupils are there?", tools=True, code=True, find=None) -> Doubts:
    made = Doubts(task, tools=tools, code=code, shown=lambda: [pupils.spec], find=find)
    for step, (action, text, error) in enumerate(done, start=1):
        show(made, step, action, text, error)
    return made


def show(made: Doubts, step, action, text, error=None) -> None:
    segment = Segment(kind="observation", text=text)
    made.hear(Intended(step=step, thought="", action=action))
    made.hear(Observed(step=step, observation=Observation(text=text, error=error), segment=segment, seconds=0.0))


CALLED = (Call(name="pupils", arguments={}), "24", None)
BROKEN = (Call(name="pupils", arguments={}), "pupils failed: KeyError", "tool_failed")


async def kind(made: Doubts, said: str, *, computed: bool = False):
    found = await made.against(said, computed=computed)
    return found and found.kind


@pytest.mark.parametrize(
    ("done", "said", "expected"),
    [
        ([], "24", UNTRIED),
        ([(Search(query="pupils"), "pupils()", None)], "24", UNTRIED),
        ([CALLED], "24", None),
        ([BROKEN], "24", UNSEEN),
        ([CALLED], "There are 24 pupils.", None),
        ([CALLED], "1,024", UNSEEN),
        ([CALLED], "7", None),  # a count that a model may have made itself
        ([(Execute(code="print(2 / 3 * 100)"), "66.66666666666666", None)], "66.67", None),
        ([CALLED], "Traceback (most recent call last): ...", FAILED),
        ([CALLED], "KeyError: 'pupils'", FAILED),
        ([CALLED], "An error rate of 24", None),
    ],
)
async def test_what_speaks_against_an_answer(done, said, expected):
    assert await kind(doubts(*done), said) == expected


async def test_without_tools_nothing_has_to_be_looked_up():
    assert await kind(doubts(tools=False), "24") is None


async def test_what_code_answers_it_has_computed():
    made = doubts(CALLED)
    assert await kind(made, "4821") == UNSEEN
    assert await kind(made, "4821", computed=True) is None


async def test_the_next_part_is_named():
    found = await doubts(CALLED, task=TASK).against("24")
    assert found is not None
    assert found.kind == UNFINISHED
    assert found.text.endswith("\n2. What does a ticket cost?")


async def test_a_part_is_done_once_a_tool_that_fits_its_words_was_used():
    asked: list[str] = []

    async def find(words: str) -> list[Hit]:
        asked.append(words)
        fits = {"How many pupils?": "pupils", "What does a ticket cost?": "price", "What does the bus cost?": "fare"}
        name = fits[words]
        spec = ToolSpec(name=name, description="", parameters={})
        return [Hit(spec=spec, id=name, score=1.0, dense=1.0, lexical=1.0)]

    others = [(Call(name=name, arguments={}), "1", None) for name in ("hours", "fare", "hours")]
    made = doubts(CALLED, *others, task=TASK, find=find)
    found = await made.against("24, 7, 1")
    assert found is not None
    assert (found.kind, [hit.spec.name for hit in found.hits]) == (UNFINISHED, ["price"])
    assert asked == ["How many pupils?", "What does a ticket cost?"]
    show(made, 9, Call(name="price", arguments={}), "7")
    assert await kind(made, "24, 7, 1") is None
    partial = await made.against("1")
    assert partial is not None
    assert partial.text.endswith(
        "\n1. How many pupils? 24\n2. What does a ticket cost? 7\n3. What does the bus cost? 1"
    )


@pytest.mark.parametrize(
    ("said", "expected"), [("24", PARTIAL), ("24, 7", PARTIAL), ("24, 7, 9", None), ("24\n7\n9", None)]
)
async def test_an_answer_has_to_cover_all_parts(said, expected):
    found = await doubts(*[CALLED] * 3, task=TASK).against(said)
    assert (found and found.kind) == expected
    assert found is None or found.text.endswith("\npupils: 24")


async def test_a_model_that_insists_is_believed_and_nobody_is_doubted_more_than_four_times():
    made = doubts(task="\n".join(f"{n}. What?" for n in range(1, 9)))
    raised = []
    for step in range(1, 9):
        show(made, 2 * step, *CALLED)
        found = await made.against("x,x,x,x,x,x,x,x")
        if found is not None:
            raised.append((step, found.kind))
            show(made, 2 * step + 1, Answer(text="x"), "said", found.kind)
            assert await kind(made, "x,x,x,x,x,x,x,x") is None
    assert raised == [(step, UNFINISHED) for step in range(1, 5)]


@pytest.mark.parametrize(
    ("task", "count"),
    [(TASK, 3), ("1. Only one part", 0), ("Chapter 2. and 3. are long", 0), ("2. b\n3. c", 0), ("1) a\n2) b", 2)],
)
def test_parts_are_lines_that_are_numbered_from_one(task, count):
    assert len(list(parts(task))) == count


async def test_a_run_goes_on_after_a_doubt_and_believes_who_insists(tmp_path):
    early = await record([answer("24"), call("pupils"), answer("24")], tmp_path / "a", tools=[pupils], config=DOUBTING)
    assert (early.run.answer, early.run.steps) == ("24", 3)
    assert early.of(Observed)[0].observation.error == UNTRIED
    insisting = await record([answer("24"), answer("24")], tmp_path / "b", tools=[pupils], config=DOUBTING)
    assert (insisting.run.answer, insisting.run.steps) == ("24", 2)


async def test_an_answer_of_code_is_doubted_where_parts_are_missing(tmp_path):
    script = [execute("final_answer(pupils())"), answer("24"), answer("24")]
    recording = await record(script, tmp_path, tools=[pupils], task=TASK, config=DOUBTING)
    assert recording.of(Observed)[0].observation.error == UNFINISHED
    assert recording.run.answer == "24"


async def test_who_uses_no_tool_is_told_of_those_that_the_prompt_shows(tmp_path):
    strangers = [Tool(ToolSpec(name=f"paint_{n}", description="Paints a wall."), lambda _: None) for n in range(9)]
    config = DOUBTING.model_copy(update={"search": "before", "found": 1, "cards": 1})
    script, tools = [answer("24")] * 2, [*strangers, pupils]
    recording = await record(script, tmp_path, tools=tools, task="How many pupils are there?", config=config)
    told = recording.of(Observed)[0].observation.text
    assert told.endswith(f"Use its tools first:\n{pupils.spec.signature}")


async def test_doubts_can_be_switched_off(tmp_path):
    recording = await record([answer("24")], tmp_path, tools=[pupils], config=HASHED)
    assert recording.run.steps == 1


async def test_who_answers_with_the_error_of_a_call_is_made_to_mend_the_call(tmp_path):
    script = [call("pupils_of", clas="7b"), answer("error: no such thing"), '"school_class": "7b"}}', answer("24")]
    recording = await record(script, tmp_path, tools=[pupils_of], config=DOUBTING)
    assert recording.of(Observed)[1].begun == '<tool_call>{"name": "pupils_of", "arguments": {'
    assert [seen.observation.ok for seen in recording.of(Observed)] == [False, False, True]


async def test_who_says_nothing_after_a_search_is_made_to_use_what_it_found(tmp_path):
    script = ["<tool_search>pupils of a class</tool_search>", "", 'pupils_of", "arguments": {"school_class": "7b"}}']
    searching = DOUBTING.model_copy(update={"cards": 0})
    recording = await record([*script, answer("24")], tmp_path, tools=[pupils_of], config=searching)
    assert recording.of(Observed)[1].begun == '<tool_call>{"name": "'
    assert recording.run.answer == "24"
