"""How evaluations are told in the terminal: results as they come, a bar below them, figures at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from deepagent.cli.story import tokens
from deepagent.cli.terminal import json_lines, plain, say, say_table, stderr, stdout
from deepagent.evaluation import runner
from deepagent.evaluation.results import EpisodeResult, Evaluation
from deepagent.evaluation.summary import MetricSummary, Summary
from deepagent.evaluation.tables import figure, interval, matrix

_FEW = 300
"""Episodes of which each is told in a line where there is no terminal; of more, the progress is told now and then."""
_EVERY_SECONDS = 30.0


class Telling:
    """Tells results as they come.

    Args:
        evaluation: which one.
        show: runs are told too, so no bar is drawn.
        json: results are JSON lines on stdout.
    """

    def __init__(self, evaluation: Evaluation, *, show: bool, json: bool) -> None:
        self._evaluation = evaluation
        self._json = json
        # On the console that the results are printed to, where it is a terminal: it keeps them above the bar.
        console = stdout if stdout.is_terminal and not json else stderr
        self._bar = None if show or not console.is_terminal else _bar(console)
        self._stack = ExitStack()
        self._told = time.monotonic()
        self._failed = 0
        self._values: list[float] = []

    def __enter__(self) -> Self:
        if self._json:
            self._write = self._stack.enter_context(json_lines())
        if self._bar is not None:
            self._stack.enter_context(self._bar)
            self._task = self._bar.add_task("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(self, progress: runner.Progress) -> None:
        """Tell one step of progress."""
        result = progress.result
        if result is None:
            if progress.done:
                say(f"{self._evaluation.id}: {progress.done} of {progress.total} episodes are done already")
        else:
            self._count(result)
            if self._json:
                self._write(result.model_dump_json())
            elif stdout.is_terminal or progress.total <= _FEW:
                stdout.print(episode_line(self._evaluation, result), soft_wrap=True)
            if result.status == "failed":
                say(f"error: {result.task}: {result.reason}")
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.done, total=progress.total, description=self._so_far())
        elif progress.total > _FEW and (time.monotonic() - self._told > _EVERY_SECONDS):
            self._told = time.monotonic()
            say(f"{progress.done} of {progress.total} done, {self._so_far()}")

    def _count(self, result: EpisodeResult) -> None:
        self._failed += result.status == "failed"
        value = result.score.values.get(self._evaluation.metrics[0].name)
        if value is not None and value.corrected is not None:
            self._values.append(value.corrected)

    def _so_far(self) -> str:
        name = self._evaluation.metrics[0].name
        share = f"{name} {sum(self._values) / len(self._values):.0%}" if self._values else name
        return f"{share}, {self._failed} failed" if self._failed else share


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def episode_line(evaluation: Evaluation, result: EpisodeResult) -> Text:
    """An episode in one line."""
    first, *others = evaluation.metrics
    value = result.score.values[first.name].corrected if first.name in result.score.values else None
    if value is None:
        said, style = f"{first.name} unknown", "yellow"
    elif first.binary:
        said, style = ("right", "green") if value else ("wrong", "red")
    else:
        said, style = f"{first.name} {value:.2f}", "cyan"
    values = result.score.values
    also = [(other.name, values[other.name].corrected) for other in others if other.name in values]
    parts = [result.status, *(f"{name} {_number(number)}" for name, number in also if number is not None)]
    parts += [f"{result.steps} steps", f"{result.seconds:.0f} s"]
    parts += [f"attempt {result.attempts}"] if result.attempts > 1 else []
    answer = " ".join((result.answer or "-").split())[:60]
    texts = [plain(result.task, "bold"), plain(said, style), plain(f"answer {answer}")]
    if result.gold:
        texts.append(plain(f"gold {' '.join(result.gold.split())[:60]}"))
    return Text("  ").join([*texts, plain(", ".join(parts), "dim")])


def _number(value: float) -> str:
    return f"{value:.0%}" if value <= 1 else f"{value:g}"


def say_summary(summary: Summary) -> None:
    """An evaluation's figures."""
    statuses = summary.statuses
    without = summary.episodes - statuses.get("answered", 0) - statuses.get("forced", 0)
    seeds = f" x {summary.seeds} seeds" if summary.seeds > 1 else ""
    stdout.print(
        f"{summary.tasks} tasks{seeds}: {statuses.get('answered', 0)} answered by themselves, "
        f"{statuses.get('forced', 0)} at a limit, {without} without an answer",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "corrected", "95 % interval", "published"):
        table.add_column(column, no_wrap=True)
    for metric in summary.metrics:
        table.add_row(*_metric_row(metric))
    say_table(table)
    chances = summary.headline.pass_at
    if chances:
        stdout.print(", ".join(f"pass@{k} {chance:.1%}" for k, chance in chances.items()))
    money = "" if summary.cost is None else f", {summary.cost:.2f} USD"
    stdout.print(f"{tokens(summary.usage)}, {summary.seconds:.0f} s{money}")
    stdout.print(f"deepagent eval show {summary.evaluation.id}", style="dim", soft_wrap=True)


def _metric_row(metric: MetricSummary) -> tuple[Text, ...]:
    return (
        plain(metric.metric.name, "bold"),
        plain(figure(metric.corrected)),
        plain(interval(metric.corrected), "dim"),
        plain(figure(metric.published)),
    )


def say_matrix(summaries: Sequence[Summary]) -> None:
    """Several evaluations side by side: benchmarks' metrics in rows, ways to work in columns."""
    made = matrix(summaries)
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in made.columns:
        table.add_column(plain(column), no_wrap=True)
    for name, cells in made.rows:
        table.add_row(plain(name, "bold"), *(figure(cell) for cell in cells))
    say_table(table)
