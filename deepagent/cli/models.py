"""`deepagent models`: model weights on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import Progress as Bar
from rich.table import Table

from deepagent.cli.terminal import say_table, stderr
from deepagent.errors import UsageError
from deepagent.models import weights
from deepagent.models.carriers import Progress
from deepagent.models.config import EmbeddedConfig
from deepagent.models.resolve import read_config
from deepagent.models.weights import Weights

app = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def pull(
    name: Annotated[
        str, typer.Argument(help="Name in `deepagent models list`, or the YAML file of an embedded model.")
    ],
    as_json: AsJson = False,
) -> None:
    """Bring weights to this machine and check them; prints where they lie."""
    entry = _described(name) if name.endswith((".yaml", ".yml")) else weights.find(name)
    with _progress(entry.name) as progress:
        place = weights.pull(entry, progress=progress)
    typer.echo(json.dumps({"name": entry.name, "path": str(place)}) if as_json else str(place))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show the weights that are known, and which are here."""
    entries = weights.catalogue().values()
    if as_json:
        shown = {"name", "about", "licence", "size"}
        typer.echo(json.dumps([{**entry.model_dump(include=shown), "here": weights.here(entry)} for entry in entries]))
        return
    table = Table("name", "size", "here", "licence", "about", box=None)
    for entry in entries:
        size, here = f"{entry.size / 1e6:,.0f} MB", "yes" if weights.here(entry) else "no"
        table.add_row(entry.name, size, here, entry.licence, entry.about)
    say_table(table)


def _described(path: str) -> Weights:
    """The weights that a model's YAML file asks for."""
    config = read_config(path)
    if not isinstance(config, EmbeddedConfig):
        raise UsageError(f"{path} describes a model behind a server: it has no weights to pull")
    return weights.find(config.weights)


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A bar on a terminal, plain lines elsewhere; on stderr, so that stdout holds the answer alone."""
    if not stderr.is_terminal:
        yield lambda step, share: typer.echo(f"{name}: {step} ({share:.0%})", err=True)
        return
    with Bar(console=stderr, transient=True) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda step, share: bar.update(task, completed=share, description=f"{name}: {step}")
