"""`deepagent eval list|show|report|compare`: what was evaluated."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from deepagent.cli.episodes import episode_line, say_summary
from deepagent.cli.evaluate import evaluate, results_path
from deepagent.cli.options import StoreOption
from deepagent.cli.terminal import json_lines, plain, say_table, stdout
from deepagent.errors import UsageError
from deepagent.evaluation import registry
from deepagent.evaluation.compare import compare
from deepagent.evaluation.plan import baselines
from deepagent.evaluation.report import VIEWER, write
from deepagent.evaluation.store import ResultStore
from deepagent.evaluation.summary import summarise
from deepagent.evaluation.tables import figure
from deepagent.resources import default_store


class _RunByDefault(TyperGroup):
    """`deepagent eval NAME` is short for `deepagent eval run NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else "--help"
        known = first in self.commands or first == "--help"
        return super().parse_args(ctx, args if known else ["run", *args])


app = typer.Typer(cls=_RunByDefault, no_args_is_help=True)
app.command("run")(evaluate)

IdArgument = Annotated[str, typer.Argument(help="An evaluation's id or its beginning, or 'last'.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_evaluations(store: StoreOption = None, json: JsonFlag = False) -> None:
    """List the benchmarks that there are, and the evaluations that were run, newest first."""
    path = results_path(store or default_store())
    if not path.exists():
        found = []
    else:
        with ResultStore(path) as results:
            found = results.evaluations()
    if json:
        with json_lines() as write:
            for evaluation, _ in found:
                write(evaluation.model_dump_json())
        return
    _say_benchmarks()
    stdout.print(f"baselines: {', '.join(baselines())}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("evaluation", "when", "results", "mode", "model", "baseline"):
        table.add_column(column, no_wrap=True)
    for evaluation, count in found:
        setup = evaluation.setup
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(evaluation.at))
        cells = (evaluation.id, when, str(count), setup.mode, setup.model, setup.baseline or "")
        table.add_row(*(plain(cell) for cell in cells))
    if found:
        say_table(table)


def _say_benchmarks() -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("benchmark", "modes", "what it asks for"):
        table.add_column(column, no_wrap=True)
    for name in registry.names():
        kind = registry.get_class(name)
        table.add_row(*(plain(cell) for cell in (name, ", ".join(kind.modes), kind.about)))
    say_table(table)


@app.command("show")
def show_evaluation(
    id: IdArgument,
    store: StoreOption = None,
    episodes: Annotated[bool, typer.Option("--episodes", help="Every episode in a line too.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show an evaluation's figures."""
    with _open(store) as results:
        evaluation = results.get(id)
        found = results.results(evaluation.id)
    summary = summarise(evaluation, found)
    if json:
        with json_lines() as write:
            write(summary.model_dump_json())
        return
    for result in found if episodes else []:
        stdout.print(episode_line(evaluation, result), soft_wrap=True)
    say_summary(summary)
    table = Table(box=None, pad_edge=False)
    for column in ("part", "episodes", *(metric.name for metric in evaluation.metrics)):
        table.add_column(plain(column), no_wrap=True)
    for part in summary.parts:
        figures = (figure(part.corrected[metric.name]) for metric in evaluation.metrics)
        table.add_row(plain(f"{part.tag} {part.value}"), str(part.episodes), *figures)
    if summary.parts:
        say_table(table)


@app.command("compare")
def compare_evaluations(
    first: IdArgument, second: IdArgument, store: StoreOption = None, json: JsonFlag = False
) -> None:
    """Compare two evaluations on the tasks that both have: second minus first."""
    with _open(store) as results:
        one, other = results.get(first), results.get(second)
        made = compare(one, results.results(one.id), other, results.results(other.id))
    if json:
        with json_lines() as write:
            write(made.model_dump_json())
        return
    for warning in made.warnings:
        stdout.print(plain(f"warning: {warning}", "yellow"), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "tasks", "first", "second", "difference", "95 % interval", "better", "worse", "p"):
        table.add_column(column, no_wrap=True)
    for name, found in made.metrics.items():
        form = ".1%" if max(found.first, found.second) <= 1 else ".2f"
        cells = (
            name, str(found.tasks), f"{found.first:{form}}", f"{found.second:{form}}", f"{found.difference:+{form}}",
            f"{found.low:+{form}} to {found.high:+{form}}", str(found.better), str(found.worse), f"{found.p:.3f}",
        )  # fmt: skip
        table.add_row(*(plain(cell) for cell in cells))
    say_table(table)


@app.command("report")
def write_report(
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Evaluations by id or its beginning, or 'last'.")],
    to: Annotated[Path, typer.Option("--to", help="The HTML file; the figures stand as JSON beside it.")] = Path(
        "report.html"
    ),
    viewer: Annotated[
        str, typer.Option("--viewer", help="Where `deepagent view` shows the runs, for the links.")
    ] = VIEWER,
    store: StoreOption = None,
) -> None:
    """Write evaluations as one HTML page that needs nothing else, and as JSON."""
    with _open(store) as results:
        written = write([results.get(id) for id in ids], results, to, viewer=viewer)
    for path in written:
        stdout.print(plain(str(path)))


def _open(store: Path | None) -> ResultStore:
    """The results, which looking at must not create where the user mistyped their name."""
    path = results_path(store or default_store())
    if not path.exists():
        raise UsageError(f"there are no results in {path}; run `deepagent eval NAME` first")
    return ResultStore(path)
