"""From a task to its score: what fails is a result, what may pass is tried again."""

import pytest

from deepagent import Agent, RunStore, ScriptedModel
from deepagent.errors import ModelUnavailableError, StoreError, UsageError
from deepagent.evaluation.base import Score, Value
from deepagent.evaluation.worker import Worker
from deepagent.toolsets.functions import tool
from tests.evaluation.support import Sums
from tests.support import HASHED, answer, call, execute


class Flaky(ScriptedModel):
    """Fails so many times first."""

    failures = 0

    async def generate(self, *args, **options):
        if self.failures:
            self.failures -= 1
            raise ModelUnavailableError(f"broken\nfor {self.failures + 1} more times")
        return await super().generate(*args, **options)


class World:
    """Counts how often it is opened and closed."""

    name = "world"
    opened = closed = 0

    def __init__(self, breaks=False):
        self.breaks = breaks
        self.pushed = 0

        @tool
        def push() -> str:
            """Pushes."""
            self.pushed += 1
            return "pushed"

        self.tools = (push,)

    async def __aenter__(self):
        if self.breaks:
            raise ModelUnavailableError("the world's server is down")
        World.opened += 1
        return self

    async def __aexit__(self, *error):
        World.closed += 1


class Pushing(Sums):
    """Scored by the state in which the world is left."""

    breaks = False

    def world(self, task):
        return World(self.breaks)

    async def score(self, episode, judge):
        pushed = episode.world.pushed if episode.world else -1
        return Score(values={"right": Value.same(pushed == 1), "steps": Value.same(pushed)})


async def episode(tmp_path, model, benchmark, *, seed=0, slept=None, **options):
    async def sleep(seconds):
        (slept if slept is not None else []).append(seconds)

    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(model, config=HASHED, store=store) as agent:
            worker = Worker(benchmark, agent, sleep=sleep, **options)
            done = await worker.episode(benchmark.tasks()[0], seed)
        return done, store.runs()


async def test_a_result_says_all_about_the_episode(tmp_path):
    done, runs = await episode(tmp_path, ScriptedModel([execute("print(3)"), answer("3")]), Sums("1 + 2"), seed=4)
    assert (done.task, done.seed, done.status, done.answer, done.gold) == ("1 + 2", 4, "answered", "3", "3")
    assert done.score.values == {"right": Value.same(1), "steps": Value.same(2)}
    assert (done.steps, done.attempts, done.first_error) == (2, 1, None)
    assert done.usage.completion_tokens > 0
    assert (runs[0].id, runs[0].benchmark) == (done.run, "sums/1 + 2")


async def test_a_seed_is_another_seed_of_sampling(tmp_path):
    sampled = []

    class Watched(ScriptedModel):
        async def generate(self, window, sampling, **options):
            sampled.append(sampling.seed)
            return await super().generate(window, sampling, **options)

    for seed in (0, 1):
        await episode(tmp_path, Watched([answer("3")]), Sums("1 + 2"), seed=seed, first_seed=40)
    assert sampled == [40, 41]


async def test_what_may_pass_is_tried_again_with_longer_waits_and_the_first_error_is_kept(tmp_path):
    model, slept = Flaky([answer("3")] * 3), []
    model.failures = 2
    done, runs = await episode(tmp_path, model, Sums("1 + 2"), slept=slept)
    assert (done.status, done.score.values["right"].corrected, done.attempts) == ("answered", 1, 3)
    assert done.first_error == "broken for 2 more times"
    assert len(runs) == 3
    assert 0.25 <= slept[0] <= 0.5 <= slept[1] <= 1.0


async def test_what_does_not_pass_in_time_is_a_result_scored_as_no_answer(tmp_path):
    model = Flaky([answer("3")] * 9)
    model.failures = 9
    done, _ = await episode(tmp_path, model, Sums("1 + 2"), retries=1)
    assert (done.status, done.answer, done.attempts, done.score.values["right"].corrected) == ("failed", None, 2, 0)
    assert (done.reason, done.first_error) == ("broken for 8 more times", "broken for 9 more times")


async def test_a_task_that_cannot_be_worked_on_is_not_tried_again(tmp_path):
    done, _ = await episode(tmp_path, ScriptedModel([answer("3")]), Sums("1" + " " * 20_000))
    assert (done.status, done.attempts) == ("failed", 1)
    assert "shorten the task" in done.reason


async def test_every_episode_has_a_world_of_its_own_that_is_open_until_it_is_scored(tmp_path):
    World.opened = World.closed = 0
    done, _ = await episode(tmp_path, ScriptedModel([call("push"), answer("done")]), Pushing("1"))
    assert done.score.values["right"].corrected == 1
    assert (World.opened, World.closed) == (1, 1)
    assert done.calls == 1


async def test_a_world_that_does_not_open_fails_the_episode(tmp_path):
    benchmark = Pushing("1")
    benchmark.breaks = True
    done, runs = await episode(tmp_path, ScriptedModel([answer("x")]), benchmark, retries=1)
    assert (done.status, done.run, done.reason, done.attempts) == ("failed", "", "the world's server is down", 2)
    assert done.score.values["steps"].corrected == -1
    assert not runs


class Judged(Sums):
    """Asks a judge, unless there is no answer."""

    async def score(self, episode, judge):
        if episode.answer is None:
            judge.rule("no answer", "no")
            chosen = "no"
        else:
            chosen = await judge.choose(f"Is {episode.answer!r} right?", ["yes", "no"])
        return Score(values={"right": Value.same(chosen == "yes"), "steps": Value.same(0)})


async def test_what_the_judge_was_asked_and_said_is_on_record(tmp_path):
    said = '{"reason": "it is", "choice": "yes"}'
    done, _ = await episode(tmp_path, ScriptedModel([answer("3")], chat_replies=[said]), Judged("1 + 2"))
    (verdict,) = done.verdicts
    assert (verdict.by, verdict.said, verdict.choice, done.score.values["right"].corrected) == (
        "scripted",
        said,
        "yes",
        1,
    )
    assert "Is '3' right?" in verdict.prompt
    assert done.judge_usage.completion_tokens > 0


async def test_a_judge_that_fails_leaves_the_episode_to_be_done_again(tmp_path):
    done, _ = await episode(tmp_path, ScriptedModel([answer("3")] * 9), Judged("1 + 2"), retries=1)
    assert (done.status, done.attempts, done.score.values["right"].corrected) == ("failed", 2, 0)
    assert [verdict.by for verdict in done.verdicts] == ["rule"]


async def test_a_full_disk_and_a_wrong_program_stop_the_evaluation(tmp_path):
    class Broken(Sums):
        async def score(self, episode, judge):
            raise self.error

    for error in (StoreError("disk"), ZeroDivisionError()):
        benchmark = Broken("1 + 2")
        benchmark.error = error
        with pytest.raises(type(error)):
            await episode(tmp_path, ScriptedModel([answer("3")]), benchmark)


async def test_an_episode_that_nobody_could_finish_has_a_result_too(tmp_path):
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(ScriptedModel(), config=HASHED, store=store) as agent:
            benchmark = Sums("1 + 2")
            done = await Worker(benchmark, agent).failed(benchmark.tasks()[0], 3, "its actors died", 3)
    assert (done.seed, done.status, done.reason, done.attempts, done.run) == (3, "failed", "its actors died", 3, "")
    assert done.score.values["right"].corrected == 0


async def test_a_wrong_use_of_the_benchmark_is_a_result_too(tmp_path):
    class Picky(Sums):
        def offered(self, task):
            raise UsageError("the data is not there")

    done, _ = await episode(tmp_path, ScriptedModel([answer("3")]), Picky("1 + 2"))
    assert (done.status, done.reason, done.attempts) == ("failed", "the data is not there", 1)
