"""`deepagent train sft`, `toolpo` and `collect`: teach a model to act."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepagent import settings
from deepagent.cli.evaluate import results_path
from deepagent.cli.options import StoreOption
from deepagent.cli.terminal import interruptible, say, written
from deepagent.cli.train import app
from deepagent.errors import TrainingError, UsageError
from deepagent.evaluation.store import ResultStore
from deepagent.resources import default_store
from deepagent.runs.store import RunStore
from deepagent.training.collect import collect as gather
from deepagent.training.collect import grades
from deepagent.training.recipe import Recipe
from deepagent.training.stages import run_sft, run_toolpo

Config = Annotated[Path, typer.Option("--config", help="The recipe, a YAML file such as those in configs/training.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for the model, checkpoints and runs.")]
From = Annotated[str | None, typer.Option("--model", help="Folder of the model to begin with.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder --out.")]


@app.command()
def sft(config: Config, out: Out, model: From = None, resume: Resume = False) -> None:
    """Fine-tune on what the oracle of a task family does. The loss is on the model's own words only."""
    recipe = _recipe(config)
    if model is not None:
        recipe = recipe.model_copy(update={"policy": recipe.policy.model_copy(update={"model": model})})
    with interruptible("what was learnt up to the last checkpoint stands: go on with --resume"):
        typer.echo(run_sft(recipe, out, say=say, resume=resume))


@app.command()
def toolpo(config: Config, out: Out, model: From = None, resume: Resume = False) -> None:
    """Reinforce what solves tasks: the agent works on them, and its own log is the training data.

    After `deepagent train sft` into the same folder it goes on from there, unless --model is given.
    """
    recipe, begin = _recipe(config), Path(model) if model is not None else None
    with interruptible("what was learnt up to the last checkpoint stands: go on with --resume"):
        typer.echo(run_toolpo(recipe, out, say=say, resume=resume, begin=begin))


@app.command()
def collect(
    out: Annotated[Path, typer.Option("--out", "-o", help="A new file: a line of JSON for each window.")],
    store: StoreOption = None,
    smooth: Annotated[bool, typer.Option("--smooth", help="Also runs in which nothing had to be repaired.")] = False,
    ungraded: Annotated[
        bool, typer.Option("--ungraded", help="Also runs with an answer that no evaluation has graded.")
    ] = False,
) -> None:
    """Gather runs that are worth imitating, as conversations for `sft` (its setting `data`).

    Taken are runs whose task an evaluation found solved, with more than two turns, and with a call or code that
    succeeded after a step that had failed. The weight 0 marks what the model did not write itself.

    Examples:
      deepagent eval toolhop --model local --seeds 8 --store runs.sqlite
      deepagent train collect --store runs.sqlite --out conversations.jsonl
    """
    path = store or default_store()
    with RunStore(path) as runs, ResultStore(results_path(path)) as results, written(out) as write:
        taken = windows = 0
        for _, lines in gather(runs, grades(results), repaired=not smooth, ungraded=ungraded):
            taken, windows = taken + 1, windows + len(lines)
            for line in lines:
                write(line)
        if not taken:
            raise TrainingError("no run was worth imitating: see --smooth and --ungraded")
    say(f"{out}: {taken} runs, {windows} windows")


def _recipe(config: Path) -> Recipe:
    try:
        import trl  # noqa: F401 (its absence is told before anything is begun)
    except ImportError as error:
        raise UsageError("training needs more packages: pip install 'deepagent[train]'") from error
    return settings.read(config, Recipe)
