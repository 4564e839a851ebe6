"""The commands by name. The module of one is imported when it is used: all of them together take a second to load."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_COMMANDS = {
    "run": ("Work on a task and print the answer.", "run"),
    "view": ("Show recorded and running runs in a web page.", "view"),
    "doctor": ("Look at this machine: what is installed, and whether it works.", "doctor"),
    "eval": ("Benchmarks: run them, and look at results.", "evaluations"),
    "config": ("Settings: what counts, and where it comes from.", "config"),
    "memory": ("Experience with tools from earlier runs.", "memory"),
    "runs": ("Runs that were recorded.", "runs"),
    "tools": ("Tools: look at them, and call them by hand.", "tools"),
    "index": ("Search indexes over tools.", "index", "index_eval"),
    "serve": ("Serve an index to other programs.", "serve"),
    "train": ("Train models.", "train", "train_policy"),
    "models": ("Model weights.", "models"),
}
"""What the help says of each command, the module that makes it, and modules that add to it."""


class Commands(TyperGroup):
    """Knows the names and what the help says of them; makes a command when it is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (about, *_) in _COMMANDS.items():
            self.add_command(TyperCommand(name, help=about))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command that is meant, and load it."""
        if args and args[0] in _COMMANDS:
            self.add_command(_load(args[0]))
        return super().resolve_command(ctx, args)


def _load(name: str) -> Any:
    """A command whose module has a group `app`, or a function of the command's name."""
    about, *homes = _COMMANDS[name]
    module, *_ = (import_module(f"deepagent.cli.{home}") for home in homes)
    above = typer.Typer(rich_markup_mode=None)
    if hasattr(module, "app"):
        above.add_typer(module.app, name=name, help=about)
    else:
        above.command(name)(getattr(module, name))
    return _with_lines_kept(typer.main.get_group(above).commands[name])


def _with_lines_kept(command: Any) -> Any:
    """The command, and those below it, with the examples of their help line by line: else they are filled as text."""
    if command.help:
        command.help = command.help.replace("\n\nExamples:", "\n\n\b\nExamples:")
    for inner in getattr(command, "commands", {}).values():
        _with_lines_kept(inner)
    return command
