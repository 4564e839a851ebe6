"""What benchmarks have in common whose tasks are a file of questions, to be answered with research tools."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from deepagent.actions import Action, Answer
from deepagent.errors import UsageError
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask
from deepagent.resources import ToolSource


class QuestionsConfig(BenchmarkConfig):
    """What questions are worked on with."""

    tools: tuple[str | dict[str, Any], ...] = ("research",)
    """Sources of tools: the research toolset, with a search engine in its settings to search the web."""


Settings = TypeVar("Settings", bound=QuestionsConfig)


class Questions(Benchmark[Settings], Generic[Settings]):
    """A benchmark of such questions; what it is made of reads them and scores answers."""

    @property
    def sources(self) -> Sequence[ToolSource]:
        """The tools of the settings."""
        return self.config.tools

    def tasks(self) -> Sequence[BenchmarkTask]:
        """The questions in the file's order."""
        return self._tasks

    @cached_property
    def _tasks(self) -> tuple[BenchmarkTask, ...]:
        return tuple(self.questions())

    def questions(self) -> Iterable[BenchmarkTask]:
        """Read the questions.

        Raises:
            UsageError: the file cannot be read, or is no such file.
        """
        raise NotImplementedError

    def oracle(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """The answer itself: it tests the scorer, and not the way."""
        return [Answer(text=task.gold)]


def rows_of(path: Path, fields: Sequence[str], what: str) -> list[dict[str, Any]]:
    """The objects of a JSONL file, each with these fields.

    Raises:
        UsageError: it cannot be read, or is no such file.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as {what}'s questions: {error}") from error
    for number, row in enumerate(rows, 1):
        missing = [name for name in fields if not isinstance(row, dict) or name not in row]
        if missing:
            raise UsageError(f"{path}, line {number}: {what}'s questions have a {missing[0]!r}; give the official file")
    return rows
