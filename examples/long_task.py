"""A long task: more pages than the window holds, so that history is folded, and a stop in the middle.

    python examples/long_task.py --pages 30 --stop-after 12
    python examples/long_task.py --model http://127.0.0.1:8000/v1 --pages 200

The second half is done by another agent, as another process would: it takes the run up from the log alone.
"""

import argparse
import asyncio
from pathlib import Path

from deepagent import Agent, AgentConfig, FoldConfig, Limits, Run, RunStore, tool
from deepagent.models import Model
from deepagent.runs.events import Folded, Observed

TASK = (
    "A ledger has {pages} pages, numbered from 1. Read every page, and answer with the number of the page that has the "
    "largest total."
)


@tool(effect="pure")
def read_page(number: int) -> str:
    """One page of the ledger: its entries and its total."""
    entries = [(number * 37 + line * 11) % 97 for line in range(12)]
    lines = [f"entry {line + 1} of page {number}: goods for {amount} francs" for line, amount in enumerate(entries)]
    return "\n".join([*lines, f"total of page {number}: {sum(entries)} francs"])


def agent(model: str | Model, store: RunStore, pages: int) -> Agent:
    """Folds at half of the window; limits that fit the length of the task."""
    limits = Limits(actions=3 * pages + 20, folds=pages)
    return Agent(model, [read_page], config=AgentConfig(limits=limits, fold=FoldConfig(at=0.5)), store=store)


async def work(model: str | Model, store: RunStore, pages: int, stop_after: int) -> Run:
    """Work until so many steps are done, stop, and go on with another agent, as another process would."""
    first = agent(model, store, pages)

    def hear(item: object) -> None:
        if isinstance(item, Observed):
            print(f"step {item.step}", end="\r")
            if item.step == stop_after:
                first.stop()  # after this step; Ctrl-C under `deepagent run` does the same
        if isinstance(item, Folded):
            print(f"fold {item.number}: {item.before} tokens become {item.after}")

    run = await first.run(TASK.format(pages=pages), hear=hear)
    if run.answer is None:
        print(f"stopped after {run.steps} steps ({run.status}); going on")
        run = await agent(model, store, pages).resume(run.id, hear=hear)
    return run


def main() -> None:
    """Read the options, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded-4k")
    parser.add_argument("--pages", type=int, default=30)
    parser.add_argument("--stop-after", type=int, default=12)
    parser.add_argument("--store", type=Path, default=Path("long_task.sqlite"))
    options = parser.parse_args()
    with RunStore(options.store) as store:
        run = asyncio.run(work(options.model, store, options.pages, options.stop_after))
    print(f"answer {run.answer} ({run.status}), {run.steps} steps, {run.folds} folds")
    print(f"look at it: deepagent view --store {options.store}")


if __name__ == "__main__":
    main()
