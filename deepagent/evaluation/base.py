"""What a benchmark is: tasks, the tools or the world that each of them needs, and a scorer.

A benchmark is a class with a `Config`, found by its name in `deepagent.evaluation.registry` and made with the settings
of `configs/benchmarks/NAME.yaml`. The life of one evaluation:

    async with benchmark:                             what all episodes share
        for each task and seed, several at a time:    an episode
            async with benchmark.world(task) as world:
                the agent works on task.prompt with benchmark.sources (only benchmark.offered(task)) and the world
                await benchmark.score(Episode, judge)     the world is still open

`published` is a metric as the benchmark's own code computes it, defects included, to compare with papers; `corrected`
is the same without its defects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from deepagent.actions import Action, Frozen
from deepagent.budget import Limits
from deepagent.models.base import Usage
from deepagent.resources import ToolSource
from deepagent.runs.events import Event, Status
from deepagent.runs.steps import Step, steps
from deepagent.toolsets.base import Toolset

Mode = Literal["labelled", "open-set"]
"""The task's own tools are shown from the beginning, or they have to be found in the whole catalogue."""


class BenchmarkConfig(BaseModel):
    """What every `configs/benchmarks/NAME.yaml` may say; a benchmark adds its own keys in a subclass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode | None = None
    """By default the first of the benchmark's modes."""
    limits: Limits | None = None
    """What one episode may spend, where the user's own settings do not say it."""


class BenchmarkTask(Frozen):
    """One task.

    Attributes:
        id: unique within the benchmark, and the same in every run and mode.
        prompt: what the agent is asked.
        gold: the right answer for people to read; empty where there is none to write down.
        tags: what tables are split by, such as `{"level": "2", "modality": "text"}`.
        attachments: files that the task is about.
        data: what else world and scorer need; never shown to the agent.
    """

    id: str
    prompt: str
    gold: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    attachments: tuple[Path, ...] = ()
    data: dict[str, Any] = Field(default_factory=dict)


class Metric(Frozen):
    """A figure that a benchmark gives for every episode.

    Attributes:
        name: key in `Score.values`.
        meaning: one line for reports.
        binary: its values are 0 or 1, so that pass@k and the sign test can be computed.
        published: whether it has a `published` column of its own; else both are the same.
    """

    name: str
    meaning: str
    binary: bool = False
    published: bool = False


class Value(Frozen):
    """One metric of one episode.

    Attributes:
        published: as the benchmark's own code computes it; None: it has no value for this episode.
        corrected: without its defects; None likewise.
        weight: share in the mean over episodes, for metrics that count parts (such as calls) over all episodes.
    """

    published: float | None
    corrected: float | None
    weight: float = Field(1.0, ge=0)

    @classmethod
    def same(cls, value: float | bool, weight: float = 1.0) -> Value:
        """A value without defects to tell apart."""
        return cls(published=float(value), corrected=float(value), weight=weight)


class Verdict(Frozen):
    """One question that was decided for a score, by rule or by the judge model.

    Attributes:
        by: `rule` (a deterministic check decided, no model was asked) or the judge model's name.
        prompt: exactly what the judge was asked; empty for a rule.
        said: the judge's whole reply, or what the rule found.
        choice: what was chosen; None where the reply holds no choice.
        usage: tokens of the judge.
    """

    by: str
    prompt: str = ""
    said: str
    choice: str | None
    usage: Usage = Usage()


class Score(Frozen):
    """How well a task was done: a value for each of the benchmark's metrics."""

    values: dict[str, Value]


class Judge(Protocol):
    """Grades what no rule can. It has a model role of its own; everything asked and said is recorded in the result."""

    async def choose(self, question: str, choices: Sequence[str], *, seed: int = 0) -> str | None:
        """Ask the judge to choose.

        Args:
            question: the whole prompt; what the agent said stands in it as quoted data.
            choices: what may be chosen.
            seed: another one for each of several votes.

        Returns:
            One of the choices, or None when the judge would not choose: never a coin flip.

        Raises:
            OperatorError: the judge model failed; the episode is then tried again, as for any other failure.
        """
        ...

    def rule(self, found: str, choice: str | None) -> None:
        """Record that a deterministic check made the judge unnecessary."""
        ...


@dataclass(frozen=True)
class Episode:
    """One task as it was worked on, for the scorer.

    Attributes:
        task: the task.
        mode: the tools' mode.
        answer: what the agent answered; None when it ended without an answer.
        status: how the run ended; `failed` when it broke.
        events: the run's log.
        refused: answers that `Benchmark.refusal` did not let stand, in order.
        world: what `Benchmark.world` gave, still open, in the state in which the agent left it; None when there is
            none, and when it could not be opened.
    """

    task: BenchmarkTask
    mode: Mode
    answer: str | None
    status: Status
    events: Sequence[Event] = ()
    world: Toolset | None = None
    refused: Sequence[str] = ()

    @cached_property
    def steps(self) -> list[Step]:
        """The actions and what they led to, in order."""
        return steps(self.events)


Settings = TypeVar("Settings", bound=BenchmarkConfig)


class Benchmark(Generic[Settings]):
    """Base of all benchmarks. Whoever adds one says its name, modes, metrics and tasks, and how an episode is scored.

    Args:
        config: the settings.
        mode: overrides the one in the settings.
    """

    name: ClassVar[str]
    """As given on the command line."""
    about: ClassVar[str] = ""
    """What its tasks are, in a line for lists."""
    modes: ClassVar[tuple[Mode, ...]] = ("open-set",)
    """What it can be run in; the first is the default."""
    metrics: ClassVar[tuple[Metric, ...]]
    """The first one is the headline: by it a task counts as solved when it is binary."""
    Config: ClassVar[type[BenchmarkConfig]] = BenchmarkConfig
    """Type of its settings."""

    def __init__(self, config: Settings, mode: Mode | None = None) -> None:
        self.config = config
        self.mode: Mode = mode or config.mode or self.modes[0]

    async def __aenter__(self) -> Self:
        """Open what all episodes share, such as a mock server."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @property
    def sources(self) -> Sequence[ToolSource]:
        """Tools that all episodes share: opened and indexed once, after the benchmark itself is open."""
        return ()

    @property
    def rehearsal(self) -> Sequence[ToolSource]:
        """`sources` for agents that are known beforehand, such as the oracle: others where real ones are costly."""
        return self.sources

    def tasks(self) -> Sequence[BenchmarkTask]:
        """All tasks, in a fixed order.

        Raises:
            UsageError: the data is not there; the message says where it comes from.
        """
        raise NotImplementedError

    def offered(self, task: BenchmarkTask) -> Collection[str] | None:
        """Names of the shared tools that this task may use; None: all. In labelled mode its own ones."""
        return None

    def world(self, task: BenchmarkTask) -> Toolset | None:
        """A new toolset for one episode, not yet entered, when tasks have tools or a state of their own.

        Its tools come beside the shared ones. Where it is an `Environment` the run ends when it is done.
        """
        return None

    def refusal(self, task: BenchmarkTask, answer: str) -> str | None:
        """What the agent is told of an answer, so that it goes on; None, as always by default, ends the run with it.

        Only for benchmarks whose own evaluation lets the agent guess again.
        """
        return None

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Judge one episode: a value for every metric, also for one that failed or was left without an answer.

        An episode without an answer must get what no answer is worth, without asking anybody.
        """
        raise NotImplementedError

    def oracle(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """What an agent does that knows the way: its actions in order, ending with an answer. None: nobody knows it.

        It is run by `--model oracle`: a benchmark that its oracle cannot solve is broken.
        """
        return None

    def demonstration(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """What is shown to who learns by imitation: what the oracle does, unless a family has reasons to show less."""
        return self.oracle(task)

    def data_hash(self, tasks: Sequence[BenchmarkTask]) -> str:
        """What the tasks are made of, in one word: results compare only where it is the same."""
        return data_hash(tasks)


AnyBenchmark = Benchmark[Any]
"""A benchmark, whatever its settings."""


def data_hash(tasks: Sequence[BenchmarkTask]) -> str:
    """SHA-256 of tasks with the contents of their attachments, shortened to 16 digits."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(task.model_dump_json(exclude={"attachments"}).encode())
        for path in task.attachments:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
