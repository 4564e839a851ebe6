"""The code of a run: executed, told in words, and executed again when an interrupted run goes on."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from deepagent.actions import Execute, Observation
from deepagent.codecalls import BROUGHT_CHARS, CodeCalls
from deepagent.means import Means
from deepagent.memory.recall import RECALL
from deepagent.reach import Reach
from deepagent.runs.log import WORKSPACE
from deepagent.runs.steps import Step
from deepagent.sandbox import Execution, Kernel
from deepagent.transcript import clipped

KEPT_CHARS = 16_000_000
"""Of a result that is too large to be shown."""
REPEATED_CHARS = 400
"""Of a result that the model has seen before."""
_RESTARTED = "\nThe interpreter was restarted: all variables are gone."
_UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
_NAMED = 8
"""Tools that are named to code that calls what is not there."""
_BROUGHT = 6
"""Calls whose results are shown of code that shows nothing itself."""
_CELL = re.compile(r"<cell \d+>")
_GOES_ON = "This run was interrupted and goes on"


@dataclass
class Rebuilt:
    """Steps whose code was run again, and those of them that did something else than before."""

    steps: list[int] = field(default_factory=list)
    diverged: list[int] = field(default_factory=list)


class Cells:
    """Runs the code of one run, cell by cell.

    Args:
        means: what the run works with.
        kernel: the interpreter.
        calls: answers the tool calls of the code.
        reach: the tools that it may call.
    """

    def __init__(self, means: Means, kernel: Kernel, calls: CodeCalls, reach: Reach) -> None:
        self._packages = means.config.sandbox.packages
        self._log = means.log
        self._kernel = kernel
        self._calls = calls
        self._reach = reach
        self._note = ""  # for the next that runs code

    async def close(self) -> None:
        """End the interpreter, and keep the files that code left in its workspace as artifacts."""
        async with self._kernel:
            left = await self._kernel.collect()
            if self._kernel.used:
                self._log.keep_files(left.files)
                self._log.keep(WORKSPACE, json.dumps(list(left.files)))

    async def execute(self, code: str) -> tuple[str, Execution]:
        """Run a cell; what it led to in words, too."""
        done = await self._kernel.execute(code)
        await asyncio.sleep(0)  # a short cell does not wait for anything: let others have their turn
        text = self._told(done)
        if self._note:
            text, self._note = f"{text}\n({self._note})", ""
        return text, done

    async def rebuild(self, steps: Sequence[Step], *, settled: bool) -> Rebuilt:
        """Run the code of finished steps again, to have its variables back.

        Args:
            steps: all of the log.
            settled: whether no code has run since the files of the workspace were kept.
        """
        rebuilt = Rebuilt()
        for step in steps:
            if isinstance(step.action, Execute) and step.observation is not None:
                await self._run_again(step, step.action.code, step.observation, rebuilt)
        if settled:
            kept, names = self._log.files(), json.loads(self._log.artifact(WORKSPACE) or "[]")
            await self._kernel.put({name: kept[name] for name in names if name in kept})
        if rebuilt.diverged:
            which = ", ".join(map(str, rebuilt.diverged))
            self._note = (
                f"{_GOES_ON} in a new interpreter. The code of earlier steps was run again; "
                f"that of step {which} did something else than before, so its variables may differ."
            )
        return rebuilt

    async def _run_again(self, step: Step, code: str, before: Observation, rebuilt: Rebuilt) -> None:
        """Run a finished cell again, with the recorded results of its tool calls."""
        if before.error in ("syntax", "not_allowed", "limit"):
            return
        if before.error in ("timeout", "crash", "interrupted"):
            if before.restarted:
                await self._kernel.forget()  # as it happened then
            else:
                rebuilt.diverged.append(step.number)
            return
        self._calls.begin(step.number, step.uses, finished=True)
        now = self._told(await self._kernel.execute(code))
        rebuilt.steps.append(step.number)
        if before.artifact is not None:
            before = before.model_copy(update={"text": self._log.artifact(before.artifact) or before.text})
        if self._calls.strayed or not _alike(now, before):
            rebuilt.diverged.append(step.number)

    def _told(self, done: Execution) -> str:
        """What a cell led to, in words."""
        drawn = f"Saved in the workspace: {', '.join(done.pictures)}" if done.pictures else ""
        answered = "" if done.answer is None else f"Answered: {done.answer}"
        parts = [done.output.rstrip("\n"), done.value or "", drawn, done.error or "", answered]
        text = "\n".join(part for part in parts if part)
        if "ModuleNotFoundError" in (done.error or ""):
            more = "".join(f", and {name}" for name in self._packages)
            text += f"\nOnly Python's standard library{more} is installed: write it without that module."
        if (unknown := _UNDEFINED.search(done.error or "")) is not None:
            text += self._known_tools(unknown.group(1))
        elif done.error:
            text += self._brought(done.output)
        if done.restarted and not done.error:  # an error that cost the interpreter says so itself
            text += _RESTARTED
        elif not text:
            text = f"The code ran and printed nothing. Use print(...) to see a value.{self._brought('')}"
        return text

    def _brought(self, output: str) -> str:
        """What the tools gave that the model has not seen: code that works on it blindly fails on its shape."""
        lines = (
            f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())}) -> {text}"
            for name, arguments, text in self._calls.brought
            if text not in output
        )
        shown = [clipped(line, BROUGHT_CHARS) for line in dict.fromkeys(lines)][:_BROUGHT]
        return "\nIts calls gave:\n" + "\n".join(shown) if shown else ""

    def _known_tools(self, name: str) -> str:
        """What can be called, where code calls what is not there."""
        known = [tool.spec.signature for tool in self._reach.granted.values() if tool.name != RECALL]
        return f"\nThere is no {name} here. The tools are:\n" + "\n".join(known[:_NAMED]) if known else ""


def comparable(text: str) -> str:
    """What code said, without what tells one cell from another that says the same."""
    return _CELL.sub("<cell>", text)


def _alike(text: str, before: Observation) -> bool:
    """Whether a cell that is run again says what it said before, as far as that is kept."""
    now = comparable(text.removesuffix(_RESTARTED))
    then = comparable(before.text).partition(f"\n({_GOES_ON}")[0].removesuffix(_RESTARTED)
    if before.repeats is not None:  # it was shown in short
        return now.startswith(then[:REPEATED_CHARS])
    return now == then or (len(then) >= KEPT_CHARS and now.startswith(then))
