"""The command `deepagent`: where the sub-commands meet, and where errors become one line."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from deepagent import __version__, tracing
from deepagent.cli import (
    config,
    doctor,
    evaluations,
    index,
    index_eval,
    memory,
    models,
    run,
    runs,
    serve,
    tools,
    train,
    train_policy,
    view,
)
from deepagent.cli.terminal import prepare_streams, say
from deepagent.errors import DeepAgentError, UsageError

app = typer.Typer(
    name="deepagent",
    help="One stream of thought that finds its own tools, calls them, runs Python and folds its memory.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("view")(view.view)
app.add_typer(evaluations.app, name="eval", help="Benchmarks: run them, and look at results.")
app.command("doctor")(doctor.doctor)
app.add_typer(config.app, name="config", help="Settings: what counts, and where it comes from.")
app.add_typer(memory.app, name="memory", help="Experience with tools from earlier runs.")
app.add_typer(runs.app, name="runs", help="Runs that were recorded.")
app.add_typer(tools.app, name="tools", help="Tools: look at them, and call them by hand.")
index.app.command("eval")(index_eval.evaluate)
app.add_typer(index.app, name="index", help="Search indexes over tools.")
app.add_typer(serve.app, name="serve", help="Serve an index to other programs.")
train.app.command()(train_policy.collect)
train.app.command()(train_policy.sft)
train.app.command()(train_policy.toolpo)
app.add_typer(train.app, name="train", help="Train models.")
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
    prepare_streams()
    try:
        tracing.export_if_configured()
        _with_lines_kept(typer.main.get_command(app))()
    except UsageError as error:
        _fail(error, 2)
    except DeepAgentError as error:
        _fail(error, 1)
    except OSError as error:
        # Errors of files and sockets have names of their own by now; left is the output itself.
        _drop_output()
        _fail(f"the output cannot be written: {error}; check where it goes, and free space there", 1)


def _with_lines_kept(command: Any) -> Any:
    """The command, and those below it, with the examples of their help line by line: else they are filled as text."""
    if command.help:
        command.help = command.help.replace("\n\nExamples:", "\n\n\b\nExamples:")
    for inner in getattr(command, "commands", {}).values():
        _with_lines_kept(inner)
    return command


def _fail(error: DeepAgentError | str, code: int) -> None:
    say(f"error: {error}")
    sys.exit(code)


def _drop_output() -> None:
    """Forget what is buffered, or the interpreter fails at it once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
