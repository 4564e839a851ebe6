"""Asking before a tool call that must not be repeated unasked: on record, and answered by whoever is first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from deepagent.invocation import Approve
from deepagent.runs.events import ApprovalAsked, ApprovalGiven
from deepagent.runs.log import RunLog
from deepagent.runs.progress import Asked
from deepagent.tools import Arguments, ToolSpec

_POLL_SECONDS = 0.2
"""How often the store is asked whether another process has decided."""


class Approvals:
    """Approval of one run's unsafe tool calls.

    A call that waits has had no effect, so the run can be left at that point, and resumed days later.

    Args:
        log: the run's log.
        ask: asked in this process; None leaves the decision to others, who see the run in the store.
        patiently: entered while a call waits, so that no clock runs.
    """

    def __init__(self, log: RunLog, ask: Approve | None, patiently: Callable[[], AbstractContextManager[None]]) -> None:
        self._log = log
        self._ask = ask
        self._patiently = patiently
        self._known: dict[Asked, bool | None] = {}

    @property
    def waiting(self) -> bool:
        """Whether a call waits for approval."""
        return None in self._known.values()

    def restore(self, known: dict[Asked, bool | None]) -> None:
        """Know what was asked and decided before."""
        self._known = dict(known)

    def not_approved(self, step: int, call: int = 0) -> bool:
        """Whether a call was put up for approval and has not got it, so that it was surely not made."""
        return (step, call) in self._known and not self._known[step, call]

    async def approved(self, step: int, call: int, spec: ToolSpec, arguments: Arguments) -> bool:
        """Whether the call may be made; the question and the answer are in the log before this returns."""
        known = self._known.get((step, call))
        if known is not None:
            return known
        if (step, call) not in self._known:
            self._log.append(ApprovalAsked(step=step, call=call, tool=spec.name, arguments=arguments))
            self._known[step, call] = None
        with self._patiently():
            given = await self._first_answer(step, call, spec, arguments)
        self._log.append(given)
        self._known[step, call] = given.approved
        return given.approved

    async def _first_answer(self, step: int, call: int, spec: ToolSpec, arguments: Arguments) -> ApprovalGiven:
        decided = self._log.decision(step, call)
        if decided is not None:
            return decided
        ways = [asyncio.create_task(self._decided(step, call))]
        if self._ask is not None:
            ways.append(asyncio.create_task(self._asked(self._ask, step, call, spec, arguments)))
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _decided(self, step: int, call: int) -> ApprovalGiven:
        while (decided := self._log.decision(step, call)) is None:  # noqa: ASYNC110 (no process can wake another)
            await asyncio.sleep(_POLL_SECONDS)
        return decided

    @staticmethod
    async def _asked(ask: Approve, step: int, call: int, spec: ToolSpec, arguments: Arguments) -> ApprovalGiven:
        approved = await ask(spec, arguments)
        return ApprovalGiven(step=step, call=call, approved=approved, by="callback")
