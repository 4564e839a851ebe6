"""`deepagent runs`: what was recorded."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.table import Table

from deepagent.agent import default_store
from deepagent.cli.run import StoreOption
from deepagent.cli.story import Story
from deepagent.cli.terminal import plain, stdout
from deepagent.runs.store import RunStore

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_runs(
    store: StoreOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List runs, newest first."""
    with RunStore(store or default_store()) as opened:
        found = opened.runs(limit)
    if json:
        for run in found:
            sys.stdout.write(run.model_dump_json(exclude_none=True) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "started", "status", "steps", "folds", "task", "answer"):
        table.add_column(column, overflow="ellipsis", no_wrap=True)
    for run in found:
        ended = run.ended
        table.add_row(
            run.id,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(run.at)),
            ended.status if ended else "unfinished",
            str(ended.steps) if ended else "",
            str(ended.folds) if ended else "",
            plain(" ".join(run.started.task.split())[:60]),
            plain((ended.answer or "")[:30] if ended else ""),
        )
    stdout.print(table)


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="A run's id, its beginning or end, or 'last'.")],
    store: StoreOption = None,
    full: Annotated[bool, typer.Option("--full", help="Show long results whole.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the events as JSON lines.")] = False,
) -> None:
    """Tell a run's story."""
    with RunStore(store or default_store()) as opened:
        events = opened.events(opened.resolve(run))
    story = Story(stdout, full=full)
    for recorded in events:
        if json:
            sys.stdout.write(recorded.model_dump_json(exclude_none=True) + "\n")
        else:
            story.hear(recorded.event)
