"""`deepagent runs`: what was recorded."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from deepagent.cli.options import (
    ConfigOption,
    JsonOption,
    ModelOption,
    SetOption,
    StoreOption,
    UnsafeOption,
    given_by_options,
)
from deepagent.cli.run import existing_store, go_on, recorded
from deepagent.cli.story import Story
from deepagent.cli.terminal import json_lines, plain, say, say_table, stdout, written
from deepagent.errors import UsageError
from deepagent.runs.export import Format, export
from deepagent.runs.progress import prompts
from deepagent.runs.store import RunStore
from deepagent.runs.summary import RunSummary

app = typer.Typer(no_args_is_help=True)

_LONG = 90
"""Characters of a task and of an answer in a line."""


@app.command("list")
def list_runs(
    store: StoreOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """List runs, newest first."""
    with _open(store) as opened:
        found = opened.runs(limit)
    if json:
        with json_lines() as write:
            for run in found:
                write(run.model_dump_json(exclude_none=True))
        return
    if not found:
        say("no runs yet: `deepagent run TASK` makes one")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "status", "steps", "folds"):
        table.add_column(column, no_wrap=True)
    for column in ("task", "answer"):
        table.add_column(column)
    for run in found:
        table.add_row(*_row(run))
    say_table(table)


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="A run's id, its beginning or end, or 'last'.")],
    store: StoreOption = None,
    full: Annotated[bool, typer.Option("--full", help="Show long results whole.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the events as JSON lines.")] = False,
) -> None:
    """Tell a run's story."""
    with _open(store) as opened:
        events = opened.events(opened.resolve(run))
    if json:
        with json_lines() as write:
            for recorded in events:
                write(recorded.model_dump_json(exclude_none=True))
        return
    story = Story(stdout, full=full)
    for recorded in events:
        story.hear(recorded.event)


@app.command("export")
def export_runs(
    runs: Annotated[list[str], typer.Argument(help="Ids of runs, their beginnings or ends, or 'last'.")],
    form: Annotated[
        Format,
        typer.Option(
            "--format", "-f",
            help="jsonl: every event. sft: chat messages, one line a window. markdown: a report. csv: usage by step.",
        ),
    ] = "jsonl",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; standard output by default.")
    ] = None,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """Write runs in other shapes.

    Examples:
      deepagent runs export last -f markdown -o report.md
      deepagent runs export 3f2a 91cc -f csv > usage.csv
    """
    with _open(store) as opened:
        found = [opened.resolve(run) for run in runs]
        with written(output) as write:
            for number, run in enumerate(found):
                for piece in export(opened.events(run), form, first=number == 0):
                    write(piece)
    if output is not None:
        say(f"wrote {len(found)} {'run' if len(found) == 1 else 'runs'} to {output}")


@app.command("files")
def write_files(
    run: Annotated[str, typer.Argument(help="A run's id, its beginning or end, or 'last'.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to write them to.")],
    store: StoreOption = None,
) -> None:
    """Write out the files that code left in a run's workspace."""
    with _open(store) as opened:
        files = opened.files(opened.resolve(run))
    if not files:
        say("this run left no files")
    for name, content in files.items():
        path = to / name
        if not path.resolve().is_relative_to(to.resolve()):  # the names were chosen by a model
            raise UsageError(f"the file {name!r} would be written outside {to}; it is left in the store")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; give another folder") from error
        stdout.print(plain(str(path)))


@app.command("replay")
def replay(
    run: Annotated[str, typer.Argument(help="A run's id, its beginning or end, or 'last'.")],
    step: Annotated[int | None, typer.Option("--step", help="Print the prompt of this step, byte for byte.")] = None,
    store: StoreOption = None,
) -> None:
    """Render every prompt of a run again, from its log alone.

    Prints the step, the size in tokens, and the SHA-256 of the text of each request. Nothing is sent anywhere.
    """
    with _open(store) as opened:
        sent = list(prompts(one.event for one in opened.events(opened.resolve(run))))
    if step is not None:
        texts = [window.text for number, window in sent if number == step]
        if not texts:
            raise UsageError(f"no prompt was sent for step {step}; without --step all are listed")
        sys.stdout.buffer.write(texts[-1].encode())
        return
    before = ""
    for number, window in sent:
        text = window.text
        extends = "extends the one before" if before and text.startswith(before) else "opens a window"
        digest = hashlib.sha256(text.encode()).hexdigest()
        stdout.print(plain(f"{number:>5} {window.tokens:>8} tokens  {digest}  {extends}"), soft_wrap=True)
        before = text


@app.command("fork")
def fork(
    run: Annotated[str, typer.Argument(help="A run's id, its beginning or end, or 'last'.")],
    at: Annotated[int, typer.Option("--at", min=1, help="The first step that is done anew.")],
    model: ModelOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
    unsafe_execute: UnsafeOption = False,
) -> None:
    """Go on from a step of a run as another run, with other settings.

    Examples:
      deepagent runs fork last --at 3 --config warmer.yaml
    """
    old, settings = recorded(run, store, config, given_by_options(model, set_), unsafe_execute)
    with _open(store) as opened:
        new = opened.fork(old, at)
    say(f"run {new} goes on from step {at} of {old}")
    go_on(new, settings, store, json=json)


@app.command("approve")
def approve(
    run: Annotated[str, typer.Argument(help="A run's id, its beginning or end, or 'last'.")],
    step: Annotated[int | None, typer.Option("--step", help="Which call, where several wait.")] = None,
    call: Annotated[int, typer.Option("--call", help="Number of the call in the step's code; 0: the step itself.")] = 0,
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no.")] = False,
    store: StoreOption = None,
) -> None:
    """Approve a tool call that a run waits for. A run that was left goes on with `deepagent run --resume`."""
    with _open(store) as opened:
        id = opened.resolve(run)
        waiting = opened.decisions.waiting(id)
        if step is None and len(waiting) == 1:
            step, call = waiting[0].step, waiting[0].call
        for asked in waiting:
            line = f"step {asked.step}, call {asked.call}: {asked.tool}({asked.arguments})"
            stdout.print(plain(line), soft_wrap=True)
        if not waiting:
            raise UsageError(f"no tool call of run {id} waits for approval")
        if step is None:
            raise UsageError(
                f"{len(waiting)} tool calls of run {id} wait for approval; say which with --step and --call"
            )
        opened.decisions.decide(id, step, call, approved=not refuse, by="terminal")
    say(f"{'refused' if refuse else 'approved'}: step {step}, call {call}")


def _open(path: Path | None) -> RunStore:
    return RunStore(existing_store(path))


def _row(run: RunSummary) -> list[Text]:
    ended = run.ended
    texts = [run.id, run.state, str(run.steps), str(ended.folds) if ended else ""]
    row = [plain(text) for text in texts]
    for text in (run.task[:_LONG], (ended.answer or "")[:_LONG] if ended else ""):
        cell = plain(" ".join(text.split()))
        cell.no_wrap, cell.overflow = True, "ellipsis"
        row.append(cell)
    return row
