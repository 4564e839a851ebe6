"""The command `deepagent`: its exit codes, and every error in one line."""

from __future__ import annotations

import os
import sys

import typer

from deepagent import __version__
from deepagent.cli.commands import Commands
from deepagent.cli.spans import export_if_configured
from deepagent.cli.terminal import prepare_streams, say
from deepagent.errors import DeepAgentError, UsageError

app = typer.Typer(
    name="deepagent",
    help="One stream of thought that finds its own tools, calls them, runs Python and folds its memory.",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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
    prepare_streams()
    try:
        export_if_configured()
        typer.main.get_command(app)()
    except UsageError as error:
        _fail(error, 2)
    except DeepAgentError as error:
        _fail(error, 1)
    except OSError as error:
        # Errors of files and sockets have names of their own by now; left is the output itself.
        _drop_output()
        _fail(f"the output cannot be written: {error}; check where it goes, and free space there", 1)


def _fail(error: DeepAgentError | str, code: int) -> None:
    say(f"error: {error}")
    sys.exit(code)


def _drop_output() -> None:
    """Forget what is buffered, or the interpreter fails at it once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
