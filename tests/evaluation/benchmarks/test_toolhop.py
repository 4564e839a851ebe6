"""ToolHop's tasks and scorer."""

import pytest

from deepagent.actions import Call, Execute, Found, Observation, Search
from deepagent.evaluation.base import Episode
from deepagent.evaluation.registry import get_benchmark
from deepagent.runs.events import ToolCalled, ToolReturned
from deepagent.runs.steps import Step, ToolUse
from deepagent.toolsets.toolhop.toolset import catalogue
from tests.evaluation.support import evaluated

BENCHMARK = get_benchmark("toolhop")
TASK = next(task for task in BENCHMARK.tasks() if task.gold == "15")


class Told(Episode):
    """An episode of which only the steps are known."""

    steps = ()


async def score(answer, *steps, task=TASK):
    episode = Told(task=task, mode="open-set", answer=answer, status="answered")
    object.__setattr__(episode, "steps", steps)
    return (await BENCHMARK.score(episode, None)).values


def test_there_are_50_tasks_with_ids_of_their_own():
    assert len({task.id for task in BENCHMARK.tasks()}) == 50


def test_a_prompt_says_nothing_of_the_steps_to_the_answer():
    for task in BENCHMARK.tasks():
        for question in task.data["sub_task"]:
            assert question not in task.prompt


@pytest.mark.parametrize(
    ("answer", "published", "corrected"),
    [
        ("15", 1, 1),
        (" 15\n", 1, 1),
        ("15.0", 0, 1),
        ('"15"', 0, 1),
        ("'15'.", 0, 1),
        ("15.", 0, 1),
        ("015", 0, 1),
        ("16", 0, 0),
        ("15 apples", 0, 0),
        ("1.5e1", 0, 0),
        ("nan", 0, 0),
        ("", 0, 0),
        (None, 0, 0),
    ],
)
async def test_the_final_answer_is_compared_as_published_and_corrected(answer, published, corrected):
    given = (await score(answer))["correct"]
    assert (given.published, given.corrected) == (published, corrected)


async def test_case_does_not_matter():
    task = TASK.model_copy(update={"gold": "Reading"})
    assert (await score("READING", task=task))["correct"].published == 1


def step(action, text, found=(), uses=()):
    return Step(1, "", action, Observation(text=text, found=found), list(uses))


CALL = Call(name="f", arguments={})


async def path(*steps):
    value = (await score("15", *steps))["path"]
    return value.published, value.corrected


async def test_the_path_is_the_share_of_intermediate_answers_that_results_showed():
    third = pytest.approx(1 / 3)
    assert await path() == (0, 0)
    assert await path(step(CALL, "He died on 11 JULY 1302.")) == (third, third)
    use = ToolUse(ToolCalled(step=1, call=1, name="f", arguments={}), ToolReturned(step=1, call=1, result="15"))
    assert (await path(step(CALL, "11 July 1302"), step(Execute(code=""), "", uses=[use])))[1] == pytest.approx(2 / 3)


async def test_a_part_of_a_word_counts_only_as_published_and_a_tool_card_never():
    card = (Found(name="f", score=1, dense=1, lexical=1),)
    assert await path(step(CALL, "1526, 2015 and x15")) == (pytest.approx(1 / 3), 0)
    assert await path(step(Search(query="x"), "day_sum(date: str), such as 11 July 1302", found=card)) == (0, 0)


async def test_what_code_prints_counts_only_as_published():
    guess = step(Execute(code="print('11 July 1302')"), "11 July 1302")
    assert await path(guess) == (pytest.approx(1 / 3), 0)


async def test_an_error_counts_only_as_published():
    failed = Step(1, "", CALL, Observation(text="unknown date '11 July 1302'", error="tool_failed"))
    assert await path(failed) == (pytest.approx(1 / 3), 0)


def test_labelled_tasks_offer_their_own_functions_and_open_ones_all():
    names = {row["name"] for row in catalogue()}
    labelled = get_benchmark("toolhop", mode="labelled")
    for task in labelled.tasks():
        assert set(labelled.offered(task)) <= names
        assert len(labelled.offered(task)) == len(task.data["sub_task"])
        assert BENCHMARK.offered(task) is None


async def test_the_oracle_is_always_right_and_who_says_nothing_never(walls, tmp_path):
    known = await evaluated("toolhop", "oracle", tmp_path)
    assert [(one.score.values["correct"].corrected, one.score.values["path"].corrected) for one in known] == [
        (1, 0)
    ] * 50
    nothing = await evaluated("toolhop", "empty", tmp_path)
    assert {value.published or value.corrected for one in nothing for value in one.score.values.values()} == {0}
