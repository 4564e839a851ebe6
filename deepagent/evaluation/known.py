"""Agents whose score is known beforehand, to test benchmarks with: one that knows the way, and one that says nothing.

`--model oracle` does what `Benchmark.oracle` says; `--model empty` never says a word. A benchmark on which the first
fails or the second succeeds measures something else than it claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar

from deepagent.actions import Action
from deepagent.dialects import spelled
from deepagent.errors import UsageError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.models.scripted import ScriptedModel
from deepagent.tools import JsonSchema
from deepagent.transcript import Message, Window

KNOWN = ("oracle", "empty")
_CONTEXT = 10_000_000

Way = Callable[[BenchmarkTask], Sequence[Action]]
"""What is done for a task, in order."""


class KnownAnswers:
    """The model of such an agent.

    Args:
        way: what it does; when that is done, it says nothing.
        name: of the model.
    """

    def __init__(self, way: Way, name: str) -> None:
        self._way = way
        self._script: ContextVar[Iterator[str]] = ContextVar("script")
        self.model = ScriptedModel(self._reply, context=_CONTEXT, name=name, chat_replies=_no_judge)

    def begin(self, task: BenchmarkTask) -> None:
        """An episode begins, in the asyncio task that calls this.

        Raises:
            UsageError: nobody knows the way.
        """
        self._script.set(iter([spelled(action) for action in self._way(task)]))

    def _reply(self, window: Window) -> str:
        return next(self._script.get(), "")


def _no_judge(messages: Sequence[Message], schema: JsonSchema | None) -> str:
    """Asked as a judge, it chooses nothing: what only a judge can tell has no value then."""
    return ""


def known_answers(benchmark: AnyBenchmark, name: str) -> KnownAnswers:
    """The agent of this name: one of `KNOWN`."""
    return KnownAnswers(empty if name == "empty" else oracle(benchmark), name)


def oracle(benchmark: AnyBenchmark) -> Way:
    """The way that the benchmark knows."""

    def way(task: BenchmarkTask) -> Sequence[Action]:
        known = benchmark.oracle(task)
        if known is None:
            raise UsageError(f"{benchmark.name} has no oracle for {task.id}")
        return known

    return way


def empty(task: BenchmarkTask) -> Sequence[Action]:
    """Nothing at all."""
    return ()
