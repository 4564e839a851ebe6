"""Generated tasks: solvable by their oracle, not solvable without tools, and the same for the same seed."""

import re
from pathlib import Path

import pytest

from deepagent import Agent
from deepagent.agent import Circumstances
from deepagent.config import AgentConfig
from deepagent.dialects import spelled
from deepagent.evaluation.base import Episode
from deepagent.models.scripted import ScriptedModel
from deepagent.runs.store import RunStore
from deepagent.training.contamination import WORDS
from deepagent.training.families.arithmetic import THINGS, Arithmetic
from deepagent.training.families.generated import GeneratedConfig
from deepagent.training.families.lookup import Lookup, LookupConfig
from deepagent.training.rewards import call_rewards


class NoJudge:
    async def choose(self, question, choices, *, seed=0):
        raise AssertionError("a rule decides")

    def rule(self, found, choice):
        return None


def make_lookup(split: str = "train", **values) -> Lookup:
    return Lookup(LookupConfig(split=split, **values))


def make_arithmetic(split: str = "train", **values) -> Arithmetic:
    return Arithmetic(GeneratedConfig(split=split, **values))


EVERY = pytest.mark.parametrize("make", [make_lookup, make_arithmetic])


@EVERY
async def test_the_oracle_solves_every_task_and_every_call_of_it_is_right(make, tmp_path: Path):
    family = make(tasks=12)
    with RunStore(tmp_path / "runs.sqlite") as store:
        for task in family.tasks():
            world, gold = family.world(task), family.oracle(task)
            model, config = ScriptedModel(list(map(spelled, gold))), AgentConfig(encoder="hash")
            agent = Agent(model, family.sources, config=config, store=store)
            run = await agent.run(task.prompt, circumstances=Circumstances(tools=world, only=family.offered(task)))
            events = [one.event for one in store.events(run.id)]
            episode = Episode(task, family.mode, run.answer, run.status, events, world)
            assert (await family.score(episode, NoJudge())).values["success"].corrected == 1.0
            assert call_rewards(episode.steps, gold) == dict.fromkeys(range(1, len(gold)), 1.0)


@EVERY
async def test_no_answer_and_another_answer_score_nothing(make):
    family = make(tasks=30)
    tasks = family.tasks()
    for given in (None, "", "I do not know", "0"):
        scores = [await family.score(Episode(task, family.mode, given, "answered"), NoJudge()) for task in tasks]
        assert sum(score.values["success"].corrected for score in scores) == 0


@EVERY
def test_training_and_test_tasks_have_no_question_in_common(make):
    train = {task.prompt for task in make("train", tasks=400, seed=1).tasks()}
    test = {task.prompt for task in make("test", tasks=400, seed=2).tasks()}
    assert train
    assert test
    assert not train & test


@EVERY
def test_the_same_seed_makes_the_same_tasks_and_another_makes_others(make):
    assert make(tasks=20, seed=3).tasks() == make(tasks=20, seed=3).tasks()
    assert make(tasks=20, seed=3).tasks() != make(tasks=20, seed=4).tasks()


@EVERY
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_questions_need_as_many_calls_as_they_say(make, hops: int):
    family = make(tasks=10, hops=(hops,))
    for task in family.tasks():
        assert task.tags == {"hops": str(hops)}
        assert len(family.oracle(task)) == hops + 1


async def test_a_careless_demonstration_succeeds_only_where_it_makes_all_the_calls_and_never_makes_only_those():
    family = make_lookup(tasks=60, careless=1.0)
    solved = 0
    for task in family.tasks():
        *made, answer = family.demonstration(task)
        *gold, _ = family.oracle(task)
        score = await family.score(Episode(task, family.mode, answer.text, "answered"), NoJudge())
        assert made
        assert made != gold
        assert bool(score.values["success"].corrected) == all(call in made for call in gold)
        solved += bool(score.values["success"].corrected)
    assert 0 < solved < 30


def test_as_many_demonstrations_are_careless_as_was_asked_for():
    family = make_lookup(tasks=400, careless=0.5)
    careless = sum(family.demonstration(task) != family.oracle(task) for task in family.tasks())
    assert 150 < careless < 250


def test_words_in_a_row_that_count_as_the_same_name_the_thing():
    for task in make_arithmetic(tasks=200).tasks():
        words = re.findall(r"\w+", task.prompt)
        for start in range(max(1, len(words) - WORDS + 1)):
            assert set(words[start : start + WORDS]) & set(THINGS), task.prompt


async def test_digits_with_marks_in_wrong_places_are_no_number():
    family = make_arithmetic(tasks=10, hops=(3,))
    for task in family.tasks():
        for given in (f".{task.gold}", ",".join(task.gold), f"{task.gold}..", f"-{task.gold}"):
            score = await family.score(Episode(task, family.mode, given, "answered"), NoJudge())
            assert score.values["success"].corrected == 0.0


async def test_a_number_is_right_in_any_common_spelling():
    family = make_arithmetic(tasks=50, hops=(3,))
    for task in family.tasks():
        for given in (task.gold, f" {int(task.gold):,}.", f"{task.gold}.\n"):
            score = await family.score(Episode(task, family.mode, given, "answered"), NoJudge())
            assert score.values["success"].corrected == 1.0
