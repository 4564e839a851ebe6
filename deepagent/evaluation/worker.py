"""One agent at work on a benchmark: an episode from its task to its score. What fails is a result, not a crash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from deepagent.agent import Agent, Delta
from deepagent.errors import OperatorError, SandboxUnavailableError, StoreError, UsageError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask, Episode, Score
from deepagent.evaluation.episodes import play
from deepagent.evaluation.judges import ModelJudge
from deepagent.evaluation.results import EpisodeResult
from deepagent.models.base import Usage
from deepagent.models.failures import RefusedError, delay
from deepagent.runs.events import Ended, Event, Intended, Started, ToolCalled

Hear = Callable[[BenchmarkTask, Event | Delta], None]
Sleep = Callable[[float], Awaitable[None]]


class Work(Protocol):
    """What executors need of a worker: it runs one episode at a time or several."""

    async def episode(self, task: BenchmarkTask, seed: int) -> EpisodeResult:
        """Work on a task and score it. Idempotent: only who keeps the result makes it count.

        Raises:
            StoreError: the run store cannot be written; everything else that breaks is in the result.
        """
        ...


class Worker:
    """Works on episodes in this process.

    Args:
        benchmark: gives worlds and scores; entered.
        agent: works; entered.
        retries: further attempts after a failure that may pass.
        first_seed: the sampling seed of seed 0; None leaves sampling as the settings have it.
        hear: told all events and text of every episode.
        begin: told each task before an attempt at it, in the asyncio task that works on it.
        sleep: waits between attempts.
    """

    def __init__(
        self,
        benchmark: AnyBenchmark,
        agent: Agent,
        *,
        retries: int = 2,
        first_seed: int | None = 0,
        hear: Hear = lambda task, item: None,
        begin: Callable[[BenchmarkTask], None] = lambda task: None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._benchmark = benchmark
        self._agent = agent
        self._retries = retries
        self._first_seed = first_seed
        self._hear = hear
        self._begin = begin
        self._sleep = sleep

    async def episode(self, task: BenchmarkTask, seed: int) -> EpisodeResult:
        """Work on a task, again where it fails in a way that may pass (see `Work.episode`)."""
        began, spent, first_error = time.monotonic(), Usage(), None
        attempt = 0
        while True:
            self._begin(task)
            tried = _Attempt(self._benchmark, self._agent, task, self._sampling_seed(seed), self._hear)
            await tried.work()
            spent += tried.usage
            if tried.broken is None or not _may_pass(tried.broken) or attempt == self._retries:
                break
            first_error = first_error or _words(tried.broken)
            await self._sleep(delay(attempt, None))
            attempt += 1
        return tried.result(
            seed=seed, attempts=attempt + 1, first_error=first_error, usage=spent, seconds=time.monotonic() - began
        )

    async def failed(self, task: BenchmarkTask, seed: int, reason: str, attempts: int) -> EpisodeResult:
        """The result of an episode that nobody could finish: scored as one without an answer."""
        tried = _Attempt(self._benchmark, self._agent, task, None, self._hear)
        await tried.give_up(OperatorError(reason))
        return tried.result(seed=seed, attempts=attempts, first_error=reason, usage=Usage(), seconds=0.0)

    def _sampling_seed(self, seed: int) -> int | None:
        return None if self._first_seed is None else self._first_seed + seed


class _Attempt:
    """One attempt at an episode, and what is known of it."""

    def __init__(
        self, benchmark: AnyBenchmark, agent: Agent, task: BenchmarkTask, sampling_seed: int | None, hear: Hear
    ) -> None:
        self._benchmark = benchmark
        self._agent = agent
        self._task = task
        self._sampling_seed = sampling_seed
        self._hear = hear
        self._events: list[Event] = []
        self._score: Score | None = None
        self._judge = ModelJudge(lambda: agent.model("judge"))
        self.broken: OperatorError | UsageError | None = None

    async def work(self) -> None:
        """Run and score; what breaks is in `broken`, and scored as no answer."""
        try:
            _, self._score = await play(
                self._benchmark,
                self._agent,
                self._task,
                self._judge,
                seed=self._sampling_seed,
                events=self._events,
                hear=lambda item: self._hear(self._task, item),
            )
        except StoreError:
            raise
        except (OperatorError, UsageError) as error:
            await self.give_up(error)

    async def give_up(self, error: OperatorError | UsageError) -> None:
        """Score the episode as one without an answer."""
        self.broken = error
        nothing = Episode(self._task, self._benchmark.mode, None, "failed", self._events)
        self._score = await self._benchmark.score(nothing, self._judge)

    @property
    def _ended(self) -> Ended | None:
        return next((event for event in self._events if isinstance(event, Ended)), None)

    @property
    def usage(self) -> Usage:
        """Tokens of this attempt."""
        return self._ended.usage if self._ended else Usage()

    def result(
        self, *, seed: int, attempts: int, first_error: str | None, usage: Usage, seconds: float
    ) -> EpisodeResult:
        """What is recorded when this was the last attempt."""
        ended, broken = self._ended, self.broken
        return EpisodeResult(
            task=self._task.id,
            seed=seed,
            run=next((event.run for event in self._events if isinstance(event, Started)), ""),
            status="failed" if broken or ended is None else ended.status,
            reason=_words(broken) if broken else ended.reason if ended else "",
            answer=ended.answer if ended and not broken else None,
            gold=self._task.gold,
            tags=self._task.tags,
            score=self._score or Score(values={}),
            verdicts=tuple(self._judge.verdicts),
            attempts=attempts,
            first_error=first_error,
            steps=ended.steps if ended else 0,
            calls=sum(_is_call(event) for event in self._events),
            folds=ended.folds if ended else 0,
            usage=usage,
            judge_usage=sum((verdict.usage for verdict in self._judge.verdicts), Usage()),
            seconds=seconds,
            at=time.time(),
        )


def _is_call(event: Event) -> bool:
    return isinstance(event, ToolCalled) or (isinstance(event, Intended) and event.action.kind == "call")


def _may_pass(error: OperatorError | UsageError) -> bool:
    """Whether the same episode may go well another time."""
    return not isinstance(error, UsageError | RefusedError | SandboxUnavailableError)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
