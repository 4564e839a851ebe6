"""The command `deepagent`: where the sub-commands meet, and where errors become one line."""

from __future__ import annotations

import sys

import typer

from deepagent import __version__
from deepagent.cli import evaluate, index, models, run, runs
from deepagent.cli.terminal import stderr
from deepagent.errors import DeepAgentError, UsageError

app = typer.Typer(
    name="deepagent",
    help="One stream of thought that finds its own tools, calls them, runs Python and folds its memory.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("eval")(evaluate.evaluate)
app.add_typer(runs.app, name="runs", help="Runs that were recorded.")
app.add_typer(index.app, name="index", help="Search indexes over tools.")
app.add_typer(models.app, name="models", help="Model weights.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command line. Exit codes: 0 answered, 1 not, 2 wrong usage, 130 interrupted."""
    try:
        app()
    except UsageError as error:
        _fail(error, 2)
    except DeepAgentError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        stderr.print("interrupted; what was done is kept: deepagent runs show last")
        sys.exit(130)


def _fail(error: DeepAgentError, code: int) -> None:
    stderr.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)
