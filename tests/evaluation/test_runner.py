"""Running a benchmark's tasks: what fails is a result."""

from deepagent import Agent, RunStore, ScriptedModel
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Metric, Score, Value
from deepagent.evaluation.runner import run_tasks
from tests.support import HASHED, answer, execute


class Sums(Benchmark[BenchmarkConfig]):
    """A benchmark of one's own."""

    name = "sums"
    metrics = (Metric(name="right", meaning="the sum is right", binary=True), Metric(name="steps", meaning="steps"))

    def tasks(self):
        return (
            BenchmarkTask(id="large", prompt="word " * 10_000, gold="1"),
            BenchmarkTask(id="wrong", prompt="1 + 1", gold="2"),
            BenchmarkTask(id="right", prompt="1 + 2", gold="3"),
            BenchmarkTask(id="broken", prompt="1 + 3", gold="4"),
        )

    async def score(self, episode, judge):
        right = episode.answer == episode.task.gold
        return Score(values={"right": Value.same(right), "steps": Value.same(len(episode.steps))})


async def test_every_task_gives_a_result_and_its_run_is_kept(tmp_path):
    heard = []
    model = ScriptedModel([answer("3"), execute("print(3)"), answer("3")])
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(model, config=HASHED, store=store) as agent:
            sums = Sums(BenchmarkConfig())
            running = run_tasks(sums, sums.tasks(), agent, hear=lambda task, item: heard.append(task.id))
            results = [result async for result in running]
        kept = {run.id: run.benchmark for run in store.runs()}
    assert [(result.task, result.status, result.score.values["right"].corrected) for result in results] == [
        ("large", "failed", 0),
        ("wrong", "answered", 0),
        ("right", "answered", 1),
        ("broken", "failed", 0),
    ]
    assert "of the model's 4096 tokens" in results[0].reason
    assert "the script is at its end" in results[3].reason
    assert [kept[result.run] for result in results] == ["sums/large", "sums/wrong", "sums/right", "sums/broken"]
    assert list(dict.fromkeys(heard)) == ["large", "wrong", "right", "broken"]
    assert results[2].score.values["steps"].corrected == 2
