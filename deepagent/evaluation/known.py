"""Agents whose score is known beforehand, to test benchmarks with: one that knows the way, and one that says nothing.

`--model oracle` does what `Benchmark.oracle` says; `--model empty` never says a word. A benchmark on which the first
fails or the second succeeds measures something else than it claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar

from deepagent.actions import Action, Answer, Call, Execute, Fold, Search
from deepagent.errors import UsageError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.models.scripted import ScriptedModel
from deepagent.transcript import Window

KNOWN = ("oracle", "empty")
_CONTEXT = 10_000_000


class KnownAnswers:
    """The model of such an agent.

    Args:
        benchmark: whose oracle it is.
        name: `oracle` or `empty`.
    """

    def __init__(self, benchmark: AnyBenchmark, name: str) -> None:
        self._benchmark = benchmark
        self._empty = name == "empty"
        self._script: ContextVar[Iterator[str]] = ContextVar("script")
        self.model = ScriptedModel(self._reply, context=_CONTEXT, name=name)

    def begin(self, task: BenchmarkTask) -> None:
        """An episode begins, in the asyncio task that calls this.

        Raises:
            UsageError: nobody knows the way.
        """
        if self._empty:
            self._script.set(iter(()))
            return
        way = self._benchmark.oracle(task)
        if way is None:
            raise UsageError(f"{self._benchmark.name} has no oracle for {task.id}")
        self._script.set(iter([spelled(action) for action in way]))

    def _reply(self, window: Window) -> str:
        return next(self._script.get(), "")


def spelled(action: Action) -> str:
    """An action as a model writes it in tags."""
    if isinstance(action, Search):
        return f"<tool_search>{action.query}</tool_search>"
    if isinstance(action, Call):
        body = action.model_dump_json(include={"name", "arguments"}).replace("<", "\\u003c")  # no tag inside
        return f"<tool_call>{body}</tool_call>"
    if isinstance(action, Execute):
        return f"<execute>\n{action.code}\n</execute>"
    if isinstance(action, Fold):
        return "<fold_thought>"
    if isinstance(action, Answer):
        return f"<answer>{action.text}</answer>"
    raise UsageError(f"an oracle does nothing {action.kind}")
