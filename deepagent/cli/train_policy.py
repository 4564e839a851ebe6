"""`deepagent train sft` and `toolpo`: teach a model to act."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepagent import settings
from deepagent.cli.terminal import interruptible, say
from deepagent.errors import UsageError
from deepagent.training.recipe import Recipe
from deepagent.training.stages import run_sft, run_toolpo

Config = Annotated[Path, typer.Option("--config", help="The recipe, a YAML file such as those in configs/training.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the model, checkpoints and runs.")]
From = Annotated[str | None, typer.Option("--model", help="Folder of the model to begin with.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder --out.")]


def sft(config: Config, out: Out, model: From = None, resume: Resume = False) -> None:
    """Fine-tune on what the oracle of a task family does. The loss is on the model's own words only."""
    recipe = _recipe(config)
    if model is not None:
        recipe = recipe.model_copy(update={"policy": recipe.policy.model_copy(update={"model": model})})
    with interruptible("what was learnt up to the last checkpoint stands: go on with --resume"):
        typer.echo(run_sft(recipe, out, say=say, resume=resume))


def toolpo(config: Config, out: Out, model: From = None, resume: Resume = False) -> None:
    """Reinforce what solves tasks: the agent works on them, and its own log is the training data.

    After `deepagent train sft` into the same folder it goes on from there, unless --model is given.
    """
    recipe, begin = _recipe(config), Path(model) if model is not None else None
    with interruptible("what was learnt up to the last checkpoint stands: go on with --resume"):
        typer.echo(run_toolpo(recipe, out, say=say, resume=resume, begin=begin))


def _recipe(config: Path) -> Recipe:
    try:
        import trl  # noqa: F401 (its absence is told before anything is begun)
    except ImportError as error:
        raise UsageError("training needs more packages: pip install 'deepagent[train]'") from error
    return settings.read(config, Recipe)
