"""Performing actions: whatever goes wrong in a tool, an argument or a name becomes an observation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from deepagent.actions import Action, Call, Execute, Malformed, Observation, Search
from deepagent.approvals import Approvals
from deepagent.cells import KEPT_CHARS, REPEATED_CHARS, Cells, Rebuilt, comparable
from deepagent.codecalls import UNKNOWN, CodeCalls, syncs_first
from deepagent.doubts import Doubts
from deepagent.errors import ToolError
from deepagent.files import Files
from deepagent.invocation import invoke
from deepagent.means import Means
from deepagent.reach import Reach
from deepagent.runs.events import Performed
from deepagent.runs.progress import Progress
from deepagent.runs.steps import Step, ToolUse
from deepagent.sandbox import Kernel
from deepagent.tools import FILES, Arguments, well_formed
from deepagent.transcript import BYTES_PER_TOKEN, clipped

_LEAST_RESULT = 300
"""Bytes of one result, however many calls a reply makes at once; together they get the room of two."""

Done = dict[int, tuple[Observation, float]]
"""Observations by step, each with the seconds that it took."""


class Performer:
    """Performs the actions of one run.

    Args:
        means: what the run works with; its log receives tool calls made by code, and results that are too large.
        doubts: what speaks against answers.

    Attributes:
        reach: the tools that may be called.
        approvals: where unsafe calls are asked for; None where they are just made.
    """

    def __init__(self, means: Means, doubts: Doubts) -> None:
        self._means = means
        self._config = means.config
        self._abilities = means.abilities
        self._log = means.log
        self._doubts = doubts
        self._limit = self._room = means.result_tokens * BYTES_PER_TOKEN
        kernel = Kernel(
            self._config.sandbox, call_tool=self._call_from_code, attachments=means.attachments, pool=means.pool
        )
        FILES.set(Files(means.attachments, self._log, kernel))  # for the tools that are called in this context
        self.reach = Reach(means, kernel.bind)
        self.approvals: Approvals | None = None
        if means.approve is not None or self._config.approval == "unsafe":
            self.approvals = Approvals(self._log, means.approve, kernel.unhurried)
        self._calls = CodeCalls(
            self._config,
            self._log,
            tool=self.reach.in_code,
            shown=self._fit,
            approvals=self.approvals,
            found=lambda: self.reach.found,
        )
        self._cells = Cells(means, kernel, self._calls, self.reach)
        self._done: dict[str, tuple[int, Observation]] = {}
        self._past: dict[int, list[ToolUse]] = {}  # calls of code that was interrupted, by step

    async def close(self) -> None:
        """End the sandbox, and keep the files that code left in its workspace as artifacts."""
        self.reach.close()
        await self._cells.close()

    async def restore(self, progress: Progress, steps: Sequence[Step]) -> Rebuilt:
        """Stand where the log says that the run stands; its code is run again to have its variables back.

        Args:
            progress: the log's.
            steps: all of the log.
        """
        await self.reach.grant_named(list(progress.names))
        self.reach.restore(progress.found, progress.searched)
        self._calls.made = progress.calls
        self._done = dict(progress.done)
        if self.approvals is not None:
            self.approvals.restore(progress.asked)
        self._past = {step.number: step.uses for step in steps if step.observation is None}
        return await self._cells.rebuild(steps, settled=progress.settled)

    def forget_window(self) -> None:
        """A new window opened: what was shown in the old one is not seen any more, and may be asked for again."""
        self._done.clear()
        self.reach.forget_window()

    async def perform_all(self, actions: Sequence[tuple[int, Action]], done: Done) -> None:
        """Do what one reply asks for, at the same time where all are calls.

        Args:
            actions: each with the number of its step.
            done: receives each step's observation as soon as it is there, also when this is interrupted.
        """
        self._room = self._limit if len(actions) < 3 else max(_LEAST_RESULT, self._limit * 2 // len(actions))
        if len(actions) == 1 or not all(isinstance(action, Call) for _, action in actions):
            for step, action in actions:
                await self._timed(step, action, done, several=len(actions) > 1)
            return
        tasks = [asyncio.create_task(self._timed(step, action, done, several=True)) for step, action in actions]
        try:
            await asyncio.gather(*tasks)
        finally:  # one of them may have ended the run, or the user
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _timed(self, step: int, action: Action, done: Done, *, several: bool) -> None:
        began = time.monotonic()
        observation = await self.perform(step, action)
        done[step] = observation, time.monotonic() - began
        if several or (isinstance(action, Call) and self._unsafe(action)):
            self._log.append(Performed(step=step, observation=observation, seconds=done[step][1]))

    async def perform(self, step: int, action: Action) -> Observation:
        """Do it. Only what the run cannot go on without raises (`OperatorError`)."""
        if isinstance(action, Malformed):
            return Observation(text=f"{action.problem}.", error="malformed")
        self._calls.begin(step, self._past.pop(step, ()))
        try:
            observation = await self._dispatch(step, action)
        except ToolError as error:
            observation = Observation(text=well_formed(str(error)), error=error.kind)
        called = self._means.catalogue.get(action.name) if isinstance(action, Call) else None
        if called is not None and called.simulated:
            observation = observation.model_copy(update={"simulated": True})
        if observation.answer is None and self._means.over():
            observation = observation.model_copy(update={"answer": observation.text})
        elif observation.answer is not None and (refused := await self._refused_code(action, observation.answer)):
            text = f"{observation.text}\n{refused.text}"
            observation = refused.model_copy(update={"text": text, "artifact": observation.artifact})
        return self._compared(step, action, observation)

    def _compared(self, step: int, action: Action, observation: Observation) -> Observation:
        """The observation, or that it is what the same action led to before in this window."""
        key = action.model_dump_json()
        earlier = self._done.get(key)
        in_vain = not observation.ok or self._changes_nothing(action)
        if earlier and in_vain and comparable(earlier[1].text) == comparable(observation.text):
            return _repeated(earlier[0], observation)
        self._done[key] = (step, observation)
        return observation

    async def _refused_code(self, action: Action, answer: str) -> Observation | None:
        """The same of an answer that code gave; it has computed what does not stand in the code as it is."""
        return await self.refused(answer, computed=not isinstance(action, Execute) or answer not in action.code)

    async def refused(self, answer: str, *, computed: bool = False) -> Observation | None:
        """What the model is told of an answer that is not taken; None when it is. Who refuses sees no doubtful one.

        Args:
            answer: what is to be the answer.
            computed: whether code made it.
        """
        doubt = await self._doubts.against(answer, computed=computed) if self._config.doubts else None
        if doubt is not None and doubt.hits:
            return await self.reach.offered(doubt.hits, doubt.text, doubt.kind)
        if doubt is not None:
            return Observation(text=doubt.text, error=doubt.kind)
        said = self._means.refuse(answer)
        return None if said is None else Observation(text=said, error="refused")

    async def _dispatch(self, step: int, action: Action) -> Observation:
        if isinstance(action, Search):
            return await self.reach.search(step, action.query)
        if isinstance(action, Call):
            return await self._call(step, action)
        if isinstance(action, Execute):
            return await self._execute(step, action.code)
        return Observation(text=f"Not done: {action.kind} must be the only action of a reply.", error="not_allowed")

    async def _call(self, step: int, action: Call) -> Observation:
        if not self._abilities.call and self._abilities.tools:
            return Observation(text="Not called: tools are called in Python, with <execute>.", error="not_allowed")
        await self.reach.grant()
        tool = self.reach.get(action.name)
        if tool is None:
            return await self.reach.instead_of(action.name)
        await self.reach.grant([tool])
        approve = partial(self.approvals.approved, step, 0) if self.approvals else None
        if syncs_first(self._config, tool):
            await self._log.sync()
        _, text = await invoke(tool, action.arguments, self._config.tool_seconds, approve)
        return self._fit(f"r{step}", text)

    async def _execute(self, step: int, code: str) -> Observation:
        if not self._abilities.execute:
            return Observation(text="Running code is switched off for this task.", error="not_allowed")
        await self.reach.grant()
        text, done = await self._cells.execute(code)
        more = {"error": done.error_kind, "answer": done.answer, "restarted": done.restarted}
        return self._fit(f"r{step}", text).model_copy(update=more)

    async def _call_from_code(self, name: str, arguments: Arguments) -> Any:
        return await self._calls.answer(name, arguments)

    def settled(self, step: int, action: Action) -> Observation | None:
        """What is said of an action that was interrupted, where it must not be done again."""
        if not isinstance(action, Call) or not self._unsafe(action):
            return None
        surely_not_made = self.approvals is not None and self.approvals.not_approved(step)
        return None if surely_not_made else Observation(text=UNKNOWN, error="interrupted")

    def _unsafe(self, action: Call) -> bool:
        tool = self.reach.get(action.name)
        return tool is not None and tool.spec.effect == "unsafe"

    def _changes_nothing(self, action: Action) -> bool:
        """Whether doing it was without effect, so that doing it again with the same result was in vain."""
        if isinstance(action, Call):
            tool = self.reach.granted.get(action.name)
            return tool is None or tool.spec.effect != "unsafe"
        return self._calls.quiet

    def _fit(self, id: str, text: str) -> Observation:
        """A result as observation: too large a one is kept whole, and shown by head, tail, size and id."""
        head = clipped(text, self._room)
        if head == text:
            return Observation(text=text)
        kept = text if len(text) <= KEPT_CHARS else text[:KEPT_CHARS]
        self._log.keep(id, kept)
        head, tail = head[: len(head) * 2 // 3], text[-len(head) // 5 :]
        lost = "" if kept is text else f" (only the first {KEPT_CHARS} are kept)"
        note = f'[... {len(text)} characters in all{lost}; the rest: recall(id="{id}", start={len(head)}) ...]'
        return Observation(text=f"{head}\n{note}\n{tail}", artifact=id)


def _repeated(step: int, observation: Observation) -> Observation:
    """The result in short, where it can be read in full, and a nudge."""
    note = f"You did exactly this at step {step}, with this result. Do something else, or answer."
    text = observation.text
    if len(text) > REPEATED_CHARS:
        text = f'{text[:REPEATED_CHARS]}... (in full: recall(id="{step}"))'
    return observation.model_copy(update={"text": f"{text}\n({note})", "repeats": step})
