"""ToolPO on two cores: a tiny model learns to call tools, first from demonstrations, then from its own runs.

    python examples/toolpo.py --out tiny                       # as configs/training/cpu.yaml says: long
    python examples/toolpo.py --out tiny --tasks 8 --steps 2   # only to see that it works

The tasks are questions about a shop that only its tools can answer (`deepagent.training.families.lookup`). After each
stage the model works on tasks that it has not seen. It needs `pip install 'deepagent[train]'`; docs/training.md tells
the method and what was measured.
"""

import argparse
import asyncio
from pathlib import Path

import deepagent
from deepagent import Agent, RunStore, settings
from deepagent.agent import Circumstances
from deepagent.evaluation.registry import get_class
from deepagent.training.recipe import Recipe, Tasks
from deepagent.training.stages import run_sft, run_toolpo

CONFIG = Path(deepagent.__file__).parent / "configs" / "training" / "cpu.yaml"


def shorter(recipe: Recipe, tasks: int | None, steps: int | None) -> Recipe:
    """The recipe with fewer tasks or steps."""

    def fewer(part: Tasks) -> dict[str, object]:
        return {"tasks": part.model_copy(update={"settings": part.settings | ({"tasks": tasks} if tasks else {})})}

    limit = {"max_steps": steps, "save_steps": steps} if steps else {}
    assert recipe.sft is not None and recipe.toolpo is not None  # noqa: PT018 (both are in the file)
    return recipe.model_copy(
        update={
            name: part.model_copy(update=fewer(part.tasks) | {"trainer": part.trainer | limit})
            for name, part in (("sft", recipe.sft), ("toolpo", recipe.toolpo))
        }
    )


async def success(recipe: Recipe, model: Path, tasks: int, store: RunStore) -> float:
    """Share of unseen tasks that a model solves."""
    kind = get_class("lookup")
    agent = Agent(f"transformers:{model}", config=recipe.agent, store=store)
    async with kind(kind.Config(tasks=tasks), None) as benchmark, agent:
        right = 0
        for task in benchmark.tasks():
            async with benchmark.world(task) as world:
                run = await agent.run(task.prompt, circumstances=Circumstances(tools=world))
            right += (run.answer or "").strip() == task.gold
    return right / tasks


def main() -> None:
    """Read the options, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--unseen", type=int, default=50)
    options = parser.parse_args()
    recipe = shorter(settings.read(CONFIG, Recipe), options.tasks, options.steps)
    options.out.mkdir(parents=True, exist_ok=True)
    with RunStore(options.out / "tests.sqlite") as store:
        for name, stage in (("demonstrations", run_sft), ("ToolPO", run_toolpo)):
            model = stage(recipe, options.out, say=print)
            print(
                f"after {name}: {asyncio.run(success(recipe, model, options.unseen, store)):.0%} of unseen tasks solved"
            )


if __name__ == "__main__":
    main()
