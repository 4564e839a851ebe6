"""Trails: long tasks from a seed, whose reports do not fit into a small window together.

A trail is a chain of reports. Each names the next one, so they have to be read one after the other, and holds a line or
two that may be asked for at the end; the last one says what to answer. With a window of 4,096 tokens a run has to fold
at least once; whoever cannot runs over, and whoever forgets does not know the answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from pydantic import Field

from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.tools import Tool
from deepagent.toolsets.functions import tool

_PROMPT = """\
Follow a trail of reports. Read report {first} with read_report. Every report names the report that comes next: read \
that one, and so on. The last report asks for the access code of a place; you will have read it in an earlier report. \
Answer with that access code alone."""
_PLACES = ("valve", "gate", "pump house", "depot", "meter room", "sluice", "reservoir", "chlorine store")
_QUIET = (
    "The pumps ran evenly at {small} bar all day and nobody had to be called to the station.",
    "The yard was swept, the fence is whole, and the lamp by the door was changed for a new one.",
    "Filter {small} was rinsed with clear water, dried in the sun, and put back where it belongs.",
    "The logbook was signed at {hour}:{minute:02} by the man on duty, who had nothing to remark.",
    "The level stood at {level} centimetres, as was to be expected after the rain of the last days.",
    "A delivery of {small} sacks of salt is awaited; the gate must be left unlocked in the morning.",
    "The meter showed {level} units at noon, which is what it showed at the same time last week.",
)
_LETTERS = "ABCDEFGHKMNPRSTUVWXYZ"


class TrailConfig(BenchmarkConfig):
    """Which trails are made."""

    tasks: int = Field(40, ge=1)
    seed: int = 0
    reports: int = Field(14, ge=4)
    """Reports of a trail."""
    sentences: int = Field(14, ge=1)
    """Sentences in a report besides what matters; fourteen are some 300 tokens."""


class Trail(Benchmark[TrailConfig]):
    """The benchmark."""

    name = "trail"
    about = "a chain of reports that do not fit into a small window together; asks for what was read first"
    modes = ("labelled",)
    metrics = (
        Metric(name="success", meaning="the answer is the code", binary=True),
        Metric(name="path", meaning="share of the trail's reports that were read"),
    )
    Config = TrailConfig

    def tasks(self) -> Sequence[BenchmarkTask]:
        """As many as the settings say."""
        return [self._task(number) for number in range(self.config.tasks)]

    def world(self, task: BenchmarkTask) -> Reports:
        """The task's own reports."""
        return Reports(task.data["reports"])

    def oracle(self, task: BenchmarkTask) -> Sequence[Action]:
        """Read all, and answer."""
        reads = [Call(name="read_report", arguments={"report": one}) for one in task.data["reports"]]
        return [*reads, Answer(text=task.gold)]

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Right when the answer is the code; letters' case and a full stop do not matter."""
        given = (episode.answer or "").strip().strip("\"'`.").casefold()
        world, reports = episode.world, episode.task.data["reports"]
        read = len(world.read) if isinstance(world, Reports) else 0
        return Score(
            values={
                "success": Value.same(given == episode.task.gold.casefold()),
                "path": Value.same(read / len(reports)),
            }
        )

    def _task(self, number: int) -> BenchmarkTask:
        config = self.config
        chance = random.Random(f"{config.seed}/{number}")  # noqa: S311 (tasks, not secrets)
        names = [f"{chance.choice(_LETTERS)}{place}" for place in chance.sample(range(100, 1000), config.reports)]
        codes = {
            f"{chance.choice(_PLACES)} {10 * place + chance.randrange(10)}": (
                f"{chance.choice(_LETTERS)}{chance.choice(_LETTERS)}-{chance.randrange(1000, 10_000)}"
            )
            for place in range(1, config.reports)
        }
        asked = chance.choice(list(codes)[:3])  # what was read first is what is lost first
        reports = {}
        for at, name in enumerate(names):
            said = [_quiet(chance) for _ in range(config.sentences)]
            if at < len(codes):
                place, code = list(codes.items())[at]
                said.insert(chance.randrange(len(said)), f"The access code of {place} is {code}.")
                end = f"The next report is {names[at + 1]}."
            else:
                end = f"This is the last report. What is the access code of {asked}?"
            reports[name] = " ".join([f"Report {name}.", *said, end])
        return BenchmarkTask(
            id=f"trail-{config.seed}-{number:03d}",
            prompt=_PROMPT.format(first=names[0]),
            gold=codes[asked],
            data={"reports": reports},
        )


class Reports:
    """The reports of one trail.

    Attributes:
        read: names of those that were read.
    """

    name = "reports"

    def __init__(self, reports: dict[str, str]) -> None:
        self.read: set[str] = set()

        @tool(effect="pure", toolset="reports")
        def read_report(report: str) -> str:
            """Read one report.

            Args:
                report: its name, such as K123.
            """
            if report not in reports:
                raise LookupError(f"there is no report {report!r}; take the name from the end of the report before")
            self.read.add(report)
            return reports[report]

        self.tools: Sequence[Tool] = (read_report,)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def _quiet(chance: random.Random) -> str:
    return chance.choice(_QUIET).format(
        small=chance.randrange(2, 90), hour=chance.randrange(6, 18), minute=chance.randrange(60),
        level=chance.randrange(120, 480),
    )  # fmt: skip
