"""What is to be evaluated, as data: any process can open it and work on episodes the same way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from deepagent import __version__, settings
from deepagent.actions import Frozen
from deepagent.agent import Agent
from deepagent.budget import Limits
from deepagent.config import AgentConfig, RunConfig
from deepagent.errors import UsageError
from deepagent.evaluation import registry
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Mode
from deepagent.evaluation.known import KNOWN, known_answers
from deepagent.evaluation.results import Setup, short_hash
from deepagent.evaluation.worker import Hear, Worker
from deepagent.models.base import Model
from deepagent.models.roles import Role
from deepagent.runs.store import RunStore
from deepagent.settings import Given

BASELINES = Path(__file__).parent.parent / "configs" / "baselines"
_ALL_SHOWN = 10_000
"""`cards` where a task's own tools are given: however many they are, they are shown."""
_SHOWN_TO_KNOWN = 500
"""`cards` of an agent that knows the way. It does not search, and its code needs the tools that are shown; of a
catalogue of thousands it only calls tools, which it may unseen."""


class Baseline(BaseModel):
    """A way to work, as settings over those of the user: `configs/baselines/NAME.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    agent: dict[str, Any] = {}


class Plan(Frozen):
    """What decides how episodes go, before anything is opened.

    Attributes:
        settings: the benchmark's own settings.
        run: models and the agent's settings, with those of baseline and benchmark in them.
        retries: further attempts at an episode after a failure that may pass.
    """

    benchmark: str
    mode: Mode
    settings: dict[str, Any]
    run: RunConfig
    baseline: str | None = None
    retries: int = 2


def make_plan(
    name: str,
    run: RunConfig,
    *,
    mode: Mode | None = None,
    baseline: str | None = None,
    config: Path | None = None,
    retries: int = 2,
) -> Plan:
    """Put settings together.

    Args:
        name: the benchmark.
        run: the user's settings.
        mode: of tools; by default the benchmark's.
        baseline: name or path of a config that goes over the user's.
        config: the benchmark's settings.
        retries: as in `Plan`.

    Raises:
        UsageError: there is no such benchmark, mode or baseline.
        ConfigError: settings cannot be read.
    """
    benchmark = registry.get_benchmark(name, mode=mode, config=config)
    agent = run.agent
    if baseline is not None:
        agent = overlaid(agent, read_baseline(baseline).agent, where=f"baseline {baseline}")
    limits = _filled(agent.limits, benchmark.config.limits)
    unlabelled = _SHOWN_TO_KNOWN if run.model in KNOWN else agent.cards
    cards = _ALL_SHOWN if benchmark.mode == "labelled" else unlabelled
    # What earlier runs learned would make episodes depend on each other.
    agent = agent.model_copy(update={"limits": limits, "cards": cards, "experience": False})
    if run.model in KNOWN:  # nor has it a reason to doubt
        agent = agent.model_copy(update={"doubts": False})
    return Plan(
        benchmark=name,
        mode=benchmark.mode,
        settings=benchmark.config.model_dump(mode="json"),
        run=run.model_copy(update={"agent": agent}),
        baseline=Path(baseline).stem if baseline is not None else None,
        retries=retries,
    )


def read_baseline(name: str) -> Baseline:
    """A baseline by its name in `configs/baselines`, or by its path.

    Raises:
        UsageError: there is none.
        ConfigError: it cannot be read.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else BASELINES / f"{name}.yaml"
    if not path.is_file():
        raise UsageError(f"unknown baseline {name!r}; known are {', '.join(baselines())}, or the path of a YAML file")
    return settings.read(path, Baseline)


def baselines() -> list[str]:
    """The baselines that are known by name."""
    return sorted(path.stem for path in BASELINES.glob("*.yaml"))


def overlaid(agent: AgentConfig, changes: dict[str, Any], *, where: str) -> AgentConfig:
    """Settings with some changed, at any depth; those that were set by name stay known as set.

    Raises:
        ConfigError: a change does not fit.
    """
    own = Given((), agent.model_dump(exclude_unset=True), "settings")
    return settings.merge([own, Given((), changes, where)], AgentConfig).settings


def _filled(own: Limits, benchmark: Limits | None) -> Limits:
    """The user's limits, and the benchmark's where the user has set none."""
    if benchmark is None:
        return own
    chosen = benchmark.model_dump(exclude_unset=True) | own.model_dump(exclude_unset=True)
    return Limits.model_validate(chosen)


def benchmark_of(plan: Plan) -> AnyBenchmark:
    """The benchmark, not yet entered.

    Raises:
        UsageError: it is not known here.
        ConfigError: its settings do not fit.
    """
    kind = registry.get_class(plan.benchmark)
    config = settings.validate(plan.settings, kind.Config, where=f"benchmark {plan.benchmark}")
    return kind(config, plan.mode)


@dataclass(frozen=True)
class Opened:
    """A plan with everything open that its episodes need.

    Attributes:
        tasks: all of the benchmark's tasks.
        setup: what results record of it.
    """

    benchmark: AnyBenchmark
    tasks: tuple[BenchmarkTask, ...]
    worker: Worker
    setup: Setup


@asynccontextmanager
async def opened(
    plan: Plan,
    store: RunStore,
    *,
    hear: Hear = lambda task, item: None,
    indexing: Callable[[int], None] = lambda count: None,
) -> AsyncIterator[Opened]:
    """Open benchmark, tools and models.

    Args:
        plan: what to open.
        store: where runs are kept.
        hear: told all events and text of every episode.
        indexing: told the number of tools when an index has to be built.

    Raises:
        UsageError: something that is named does not exist.
        OperatorError: something cannot be opened.
    """
    async with benchmark_of(plan) as benchmark:
        known = known_answers(benchmark, plan.run.model) if plan.run.model in KNOWN else None
        model: str | Model = known.model if known else plan.run.model
        agent = Agent(
            model,
            [*(benchmark.rehearsal if known else benchmark.sources), *plan.run.tools],
            config=plan.run.agent,
            auxiliary=plan.run.auxiliary,
            judge=plan.run.judge,
            vision=plan.run.vision,
            store=store,
            indexing=indexing,
        )
        tasks = tuple(benchmark.tasks())
        async with agent:
            setup = await _setup(plan, benchmark, tasks, agent)
            worker = Worker(
                benchmark,
                agent,
                retries=plan.retries,
                first_seed=plan.run.agent.sampling.seed or 0,
                hear=hear,
                begin=known.begin if known else lambda task: None,
            )
            yield Opened(benchmark, tasks, worker, setup)


async def _setup(plan: Plan, benchmark: AnyBenchmark, tasks: tuple[BenchmarkTask, ...], agent: Agent) -> Setup:
    model = await agent.model("main")
    opening = await agent.instructions()
    said = [message.model_dump_json() for message in opening.messages]
    offered = [function.model_dump_json() for function in opening.functions]
    specs = sorted(tool.spec.model_dump_json() for tool in agent.catalogue)
    named: dict[Role, str | None] = {
        "auxiliary": plan.run.auxiliary, "judge": plan.run.judge, "vision": plan.run.vision
    }  # fmt: skip
    return Setup(
        benchmark=plan.benchmark,
        mode=plan.mode,
        settings=plan.settings,
        data_hash=benchmark.data_hash(tasks),
        model=model.name,
        context=model.context,
        roles={role: name for role, name in named.items() if name is not None},
        agent=plan.run.agent.model_dump(mode="json"),
        baseline=plan.baseline,
        prompt_hash=short_hash("\n".join(said + offered)),
        tools_hash=short_hash("\n".join(specs)),
        retriever=agent.catalogue.retriever,
        version=__version__,
    )
