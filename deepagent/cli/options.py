"""Options that several commands share, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from deepagent.cli.terminal import say
from deepagent.config import RunConfig, effective
from deepagent.errors import UsageError
from deepagent.models.resolve import can_wear
from deepagent.settings import Given, Merged, from_option

ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="embedded[:NAME], a config's name or path, or URL#MODEL of a server."),
]
AdapterOption = Annotated[
    Path | None,
    typer.Option("--adapter", help="Folder of a LoRA adapter for an embedded, vllm or transformers model."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file with settings; by default what DEEPAGENT_CONFIG names.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, such as agent.limits.actions=20. Repeatable."),
]
StoreOption = Annotated[Path | None, typer.Option("--store", help="File in which runs are kept.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print events as JSON lines, as `runs show --json` does.")]
UnsafeOption = Annotated[
    bool, typer.Option("--unsafe-execute", help="Run code without confinement. The model can then do what you can do.")
]

_UNSAFE = ("agent", "sandbox", "unsafe")


def given_by_options(model: str | None = None, sets: list[str] | None = None, judge: str | None = None) -> list[Given]:
    """What options say; those with a name of their own count more than --set."""
    named = {"model": model, "judge": judge}
    given = [from_option(text, RunConfig) for text in sets or ()]
    return given + [Given((key,), value, f"--{key}") for key, value in named.items() if value is not None]


def settings_from(config: Path | None, options: list[Given], unsafe: bool) -> RunConfig:
    """Settings: options over the environment over the file over defaults."""
    return walled(partial(effective, config), options, unsafe)


def walled(merged: Callable[[Sequence[Given]], Merged[RunConfig]], options: Sequence[Given], unsafe: bool) -> RunConfig:
    """Settings with code behind walls; without them only where that is asked for on the command line, each time.

    Args:
        merged: the settings with options over them.
        options: what the command line says.
        unsafe: whether it says that code runs without walls.

    Raises:
        UsageError: something else asks for it.
    """
    if unsafe:
        say("warning: code runs without confinement: the model can read, change and send whatever you can")
        options = [*options, Given(_UNSAFE, True, "--unsafe-execute")]
    made = merged(options)
    if made.settings.agent.sandbox.unsafe and not unsafe:
        where = made.origin(_UNSAFE)
        raise UsageError(f"{where}: running code without walls must be asked for each time: --unsafe-execute")
    return made.settings


def wearing(settings: RunConfig, adapter: Path | None) -> RunConfig:
    """The settings with a LoRA adapter on the main model."""
    if adapter is None:
        return settings
    if not can_wear(settings.model) or "#" in settings.model:
        ways = "embedded[:NAME], vllm:FOLDER and transformers:FOLDER; a model's YAML file has its own `adapter`"
        raise UsageError(f"--adapter does not go with {settings.model}: it goes with {ways}")
    return settings.model_copy(update={"model": f"{settings.model}#{adapter}"})
