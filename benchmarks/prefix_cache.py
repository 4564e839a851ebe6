"""How much of each prompt a vLLM server takes from its prefix cache.

    python benchmarks/prefix_cache.py http://127.0.0.1:8000/v1 [STEPS]

A run of STEPS tool calls in one window, in both dialects, then an answer. The server's grammar leads the model through
the calls, so that any model will do; prompts, tokens, templates and cache are real. Start the server with
`--enable-prefix-caching --enable-prompt-tokens-details` (and a tool parser for the native dialect).
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from deepagent import Agent, AgentConfig, Limits, RunStore, Sampling, tool
from deepagent.models import Generated
from deepagent.models.http import HttpModel
from deepagent.runs.events import Replied
from deepagent.transcript import Window

TASK = "Read the meter on each day, one call a day, and say the last reading. " + "The house is old and large. " * 60


@tool(effect="pure")
def reading(day: int) -> str:
    """The meter's reading of one day."""
    return f"day {day}: {day * 7} units"


class Led(HttpModel):
    """A model whose n-th reply reads the n-th day; the last one answers."""

    steps = 0
    last = 20

    async def generate(self, window: Window, sampling: Sampling, **options: Any) -> Generated:
        self.steps += 1
        server, day = self.server, self.steps
        ask = type(server).request

        def request(window: Window, terms: Any, id: str) -> dict[str, Any]:
            return ask(server, window, terms, id) | (self._native(day) if self.functions else self._tags(day))

        server.request = request  # type: ignore[method-assign]
        return await super().generate(window, sampling, **options | {"grammar": None})

    def _tags(self, day: int) -> dict[str, Any]:
        call = rf'I read day {day}\.\n<tool_call>\{{"name": "reading", "arguments": \{{"day": {day}\}}\}}</tool_call>'
        return {"structured_outputs": {"regex": call if day <= self.last else "<answer>[0-9]{1,3}</answer>"}}

    def _native(self, day: int) -> dict[str, Any]:
        if day > self.last:
            return {"tool_choice": "none", "structured_outputs": {"regex": "[0-9]{1,3}"}}
        # Without a schema that names the day, a small model would read the same one for ever; it may.
        return {"tool_choice": {"type": "function", "function": {"name": "reading"}}}


async def measure(url: str, steps: int, dialect: str) -> tuple[int, int, int]:
    """Steps after the first, their prompt tokens, and how many of these were cached."""
    model = Led(url, api="chat" if dialect == "native" else "completions", turns=True)
    model.last = steps
    limits = Limits(actions=steps + 2, idle=None, folds=0)
    config = AgentConfig(encoder="hash", limits=limits, fold=None, execute=False, sampling=Sampling(max_tokens=80))
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder) / "runs.sqlite") as store:
        run = await Agent(model, [reading], config=config, store=store).run(TASK)
        events = [recorded.event for recorded in store.events(run.id)]
    used = [event.generated.usage for event in events if isinstance(event, Replied)][1:]
    return len(used), sum(one.prompt_tokens for one in used), sum(one.cached_tokens for one in used)


async def main(url: str, steps: int) -> None:
    print(f"{'dialect':10}{'steps':>8}{'prompt tokens':>16}{'cached':>10}{'share':>8}")
    for dialect in ("tags", "native"):
        count, asked, cached = await measure(url, steps, dialect)
        print(f"{dialect:10}{count:>8}{asked:>16}{cached:>10}{cached / asked:>8.1%}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 20))
