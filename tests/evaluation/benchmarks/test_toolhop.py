"""ToolHop's tasks and scorer."""

import pytest

from deepagent.actions import Call, Execute, Found, Observation, Search
from deepagent.evaluation.benchmarks import get_benchmark
from deepagent.runs.events import ToolCalled, ToolReturned
from deepagent.runs.steps import Step, ToolUse

BENCHMARK = get_benchmark("toolhop")
TASK = next(task for task in BENCHMARK.tasks() if task.gold == "15")


def score(answer, *steps):
    return BENCHMARK.score(TASK, answer, steps)


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
def test_the_final_answer_is_compared_as_published_and_corrected(answer, published, corrected):
    given = score(answer)
    assert (given.published, given.corrected) == (published, corrected)


def test_case_does_not_matter():
    task = TASK.model_copy(update={"gold": "Reading"})
    assert BENCHMARK.score(task, "READING", ()).published == 1


def step(action, text, found=(), uses=()):
    return Step(1, "", action, Observation(text=text, found=found), list(uses))


def test_the_path_is_the_share_of_intermediate_answers_that_results_showed():
    call = Call(name="f", arguments={})
    assert score("15").path == 0
    assert score("15", step(call, "He died on 11 JULY 1302.")).path == pytest.approx(1 / 3)
    use = ToolUse(ToolCalled(step=1, call=1, name="f", arguments={}), ToolReturned(step=1, call=1, result="15"))
    assert score("15", step(call, "11 July 1302"), step(Execute(code=""), "", uses=[use])).path == pytest.approx(2 / 3)


def test_neither_parts_of_words_nor_tool_cards_count_for_the_path():
    card = (Found(name="f", score=1, dense=1, lexical=1),)
    assert score("15", step(Call(name="f", arguments={}), "1526, 2015 and x15")).path == 0
    assert score("15", step(Search(query="x"), "day_sum(date: str), such as 11 July 1302", found=card)).path == 0
