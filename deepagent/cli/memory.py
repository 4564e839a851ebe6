"""`deepagent memory`: experience with tools from earlier runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from deepagent.cli.options import StoreOption
from deepagent.cli.terminal import json_lines, plain, say, say_table, stdout
from deepagent.errors import UsageError
from deepagent.memory.store import Experience, ExperienceStore
from deepagent.resources import default_store, experience_beside

app = typer.Typer(no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]
ToolArgument = Annotated[str, typer.Argument(help="Name of the tool.")]


@app.command("list")
def list_(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the tools that there is experience with."""
    found = _all(store)
    if json:
        _write(found)
        return
    if not found:
        say("no experience yet: it is gathered when runs end")
        return
    table = Table("tool", "schema", "calls", "failed", "runs", "notes", "last used", box=None, pad_edge=False)
    for one in found:
        counts = map(str, (one.calls, one.failed, one.runs, len(one.notes)))
        table.add_row(plain(one.tool, "bold"), one.schema_[:8], *counts, _date(one.at))
    say_table(table)


@app.command()
def show(tool: ToolArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show what is known of a tool, for each schema that it has had."""
    found = _all(store, tool)
    if not found:
        raise UsageError(f"there is no experience with {tool!r}; `deepagent memory list` shows what there is")
    if json:
        _write(found)
        return
    for one in found:
        head = f"{one.tool}, schema {one.schema_[:8]}: {one.calls} calls in {one.runs} runs, {one.failed} failed"
        stdout.print(plain(f"{head}, last used {_date(one.at)}", "bold"), soft_wrap=True)
        for error in one.errors:
            stdout.print(plain(f"  {error.kind} x{error.count} {error.message}".rstrip(), "red"), soft_wrap=True)
        for note in one.notes:
            told = f"  {note.text} (evidence {note.evidence:g}, from {note.runs} runs)"
            stdout.print(plain(told), soft_wrap=True)


@app.command()
def forget(
    tool: Annotated[str | None, typer.Argument(help="Name of the tool.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Forget all tools.")] = False,
    store: StoreOption = None,
) -> None:
    """Forget what is known of a tool, or of all."""
    if (tool is None) != every:
        raise UsageError("name one tool, or give --all")
    path = _path(store)
    count = 0
    if path.exists():
        with ExperienceStore(path) as opened:
            count = opened.forget(tool)
    if tool is not None and not count:
        raise UsageError(f"there is no experience with {tool!r}; `deepagent memory list` shows what there is")
    say(f"forgot {count} {'tool' if count == 1 else 'tools'}")


@app.command()
def export(
    to: Annotated[Path | None, typer.Option("--to", help="File to write; by default standard output.")] = None,
    store: StoreOption = None,
) -> None:
    """Write all experience as JSON lines.

    Examples:
      deepagent memory export --to experience.jsonl
    """
    found = _all(store)
    if to is None:
        _write(found)
        return
    try:
        to.write_text("".join(f"{_line(one)}\n" for one in found), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{to}: {error.strerror}; give another file") from error
    say(f"{len(found)} tools written to {to}")


def _all(store: Path | None, tool: str | None = None) -> list[Experience]:
    """What there is; looking at it creates nothing."""
    path = _path(store)
    if not path.exists():
        return []
    with ExperienceStore(path) as opened:
        return opened.all(tool)


def _path(store: Path | None) -> Path:
    return experience_beside(store or default_store())


def _write(found: list[Experience]) -> None:
    with json_lines() as write:
        for one in found:
            write(_line(one))


def _line(one: Experience) -> str:
    return one.model_dump_json(by_alias=True)


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
