"""What one process holds and does with many runs at a time: memory a run, steps a second, bytes of log a step.

    python -m benchmarks.scaling --runs 100 400 1600

The model is a script that answers at once, so that nothing is counted but the framework; half-way all runs wait for
each other, and memory is read then. docs/scaling.md extrapolates from it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from deepagent import Agent, AgentConfig, Limits, RunStore, ScriptedModel, tool
from deepagent.transcript import Window

STEPS = 10
PAGE = 4096


@tool(effect="pure")
def look_up(number: int) -> str:
    """A row of a table."""
    return f"row {number}: " + "a result of some hundred characters, as tools give them; " * 5


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Gathered(ScriptedModel):
    """Writes a call a step; in the middle of its run it waits until all runs have come so far."""

    def __init__(self, runs: int) -> None:
        super().__init__(self._reply, context=16_384)
        self._waiting = 0
        self._runs = runs
        self._all = asyncio.Event()
        self.held = 0

    def _reply(self, window: Window) -> str:
        done = window.text.count("<tool_call_result>\nrow")
        if done == STEPS:
            return "That is all.\n<answer>done</answer>"
        return f'I look it up.\n<tool_call>{{"name": "look_up", "arguments": {{"number": {done}}}}}</tool_call>'

    async def generate(self, window, sampling, **options):
        if window.text.count("<tool_call_result>\nrow") == STEPS // 2:
            self._waiting += 1
            if self._waiting == self._runs:
                self.held = resident()
                self._all.set()
            await self._all.wait()
        return await super().generate(window, sampling, **options)


async def measure(runs: int, path: Path) -> tuple[float, float, float]:
    """Bytes that a run holds while it waits, seconds of processor time, seconds by the clock."""
    model = Gathered(runs)
    config = AgentConfig(encoder="hash", execute=False, limits=Limits(actions=STEPS + 5))
    with RunStore(path) as store:
        async with Agent(model, [look_up], config=config, store=store) as agent:
            before, begun, cpu = resident(), time.monotonic(), time.process_time()
            ended = await asyncio.gather(*(agent.run(f"Look up all rows, {n}.") for n in range(runs)))
            seconds, used = time.monotonic() - begun, time.process_time() - cpu
    assert all(run.answer == "done" for run in ended)
    return (model.held - before) / runs, used, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 400, 1600])
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print("| runs at a time | memory a run | CPU a step | steps a second | log a step |\n|---|---|---|---|---|")
    for runs in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            held, used, seconds = asyncio.run(measure(runs, Path(folder) / "runs.sqlite"))
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
        steps = runs * (STEPS + 1)
        cells = (
            str(runs), f"{held / 1024:.0f} KiB", f"{used / steps * 1000:.2f} ms", f"{steps / seconds:.0f}",
            f"{size / steps / 1024:.2f} KiB",
        )  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
