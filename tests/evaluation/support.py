"""What tests of evaluations and benchmarks need."""

from pathlib import Path

from deepagent import AgentConfig, RunStore
from deepagent.config import RunConfig
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Metric, Mode, Score, Value
from deepagent.evaluation.executors import AsyncioExecutor
from deepagent.evaluation.plan import make_plan, opened
from deepagent.evaluation.results import EpisodeResult, Evaluation, Setup

SETUP = Setup(
    benchmark="sums", mode="open-set", settings={}, data_hash="d", model="m", context=1, roles={}, agent={},
    baseline=None, prompt_hash="p", tools_hash="t", retriever="hash", version="1",
)  # fmt: skip
METRICS = (
    Metric(name="right", meaning="the sum is right", binary=True, published=True),
    Metric(name="steps", meaning="how many"),
)


def evaluation(id: str = "sums-1", **setup) -> Evaluation:
    return Evaluation(id=id, at=0.0, setup=SETUP.model_copy(update=setup), metrics=METRICS)


def result(task: str = "a", seed: int = 0, right: float | None = 1.0, **fields) -> EpisodeResult:
    values = fields.pop("values", {"right": Value(published=right, corrected=right), "steps": Value.same(3)})
    given = {
        "run": f"run-{task}-{seed}", "status": "answered", "reason": "the model answered", "answer": "1", "gold": "1",
        "tags": {}, "score": Score(values=values), "steps": 3, "calls": 1, "folds": 0, "usage": {"prompt_tokens": 10},
        "seconds": 1.0, "at": 0.0,
    }  # fmt: skip
    return EpisodeResult(task=task, seed=seed, **{**given, **fields})


class Sums(Benchmark[BenchmarkConfig]):
    """A benchmark of one's own: its prompts are sums."""

    name = "sums"
    metrics = METRICS

    def __init__(self, *sums: str) -> None:
        super().__init__(BenchmarkConfig())
        self._tasks = [BenchmarkTask(id=one, prompt=one, gold=str(eval(one))) for one in sums]

    def tasks(self):
        return self._tasks

    async def score(self, episode, judge):
        right = episode.answer == episode.task.gold
        return Score(values={"right": Value.same(right), "steps": Value.same(len(episode.steps))})


async def evaluated(name: str, model: str, folder: Path, *, mode: Mode | None = None) -> list[EpisodeResult]:
    """All tasks of a benchmark by `oracle` or `empty`, in the benchmark's order."""
    plan = make_plan(name, RunConfig(model=model, agent=AgentConfig(encoder="hash")), mode=mode)
    with RunStore(folder / "runs.sqlite") as store:
        async with opened(plan, store) as held:
            work = [(task, 0) for task in held.tasks]
            found = {one.task: one async for one in AsyncioExecutor(held.worker, 2).run(work)}
    return [found[task.id] for task in held.tasks]
