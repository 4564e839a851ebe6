"""The tool calls that code makes: logged before and after, or answered from the log when the code is run again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from deepagent.actions import Observation
from deepagent.approvals import Approvals
from deepagent.config import AgentConfig
from deepagent.errors import ToolError, ToolFailedError, ToolRefusedError
from deepagent.invocation import invoke
from deepagent.runs.events import ToolCalled, ToolReturned
from deepagent.runs.log import RunLog
from deepagent.runs.steps import ToolUse
from deepagent.tools import Arguments, Tool, well_formed

BROUGHT_CHARS = 240
"""Of the result of a call, and of the call with it, that are shown again of code which shows nothing itself."""
_MOST_BROUGHT = 50

UNKNOWN = "Interrupted: whether it was done is not known. Find out before you do it again."


def syncs_first(config: AgentConfig, tool: Tool) -> bool:
    """Whether a call waits until its intent would survive a power cut."""
    return config.durability == "commit" or (config.durability == "auto" and tool.spec.effect == "unsafe")


class CodeCalls:
    """Answers the tool calls of a run's code.

    Args:
        config: the agent's settings.
        log: the run's log.
        tool: the tool of a name that code may call.
        shown: a result as the log has it, given the id under which the whole is kept if it is too large.
        approvals: asked before unsafe calls; None makes them unasked.
        found: takes the names that the last search from code has brought.
    """

    def __init__(
        self,
        config: AgentConfig,
        log: RunLog,
        *,
        tool: Callable[[str], Tool],
        shown: Callable[[str, str], Observation],
        approvals: Approvals | None,
        found: Callable[[], tuple[str, ...]],
    ) -> None:
        self._config = config
        self._log = log
        self._tool = tool
        self._shown = shown
        self._approvals = approvals
        self._found = found
        self._step = 0
        self._next = 1
        self._past: list[ToolUse] = []
        self._finished = False
        self.brought: list[tuple[str, Arguments, str]] = []
        """Tool, arguments and the beginning of the result of the first calls that succeeded in the last code."""
        self.made = 0
        """Calls of the whole run, which has a limit for them."""
        self.quiet = True
        """Whether the code that ran last has called nothing but pure tools."""
        self.strayed = False
        """Whether code that is run again has called what it had not called before."""

    def begin(self, step: int, past: Sequence[ToolUse] = (), *, finished: bool = False) -> None:
        """A step's code begins to run.

        Args:
            step: its number.
            past: the calls that it made when it ran before; those that returned are answered from the log.
            finished: whether it had run to its end, so that it has no other calls to make.
        """
        self._step, self._past, self._finished, self.strayed = step, list(past), finished, False
        self.brought = []
        self._next = 1 + max((use.called.call for use in past), default=0)
        self.quiet = all(self._tool(use.called.name).spec.effect == "pure" for use in past)

    async def answer(self, name: str, arguments: Arguments) -> Any:
        """Make the call, or repeat what came of it.

        Raises:
            ToolError: for the code to catch.
        """
        past = self._taken(name, arguments)
        tool = self._tool(name)
        self.quiet = self.quiet and tool.spec.effect == "pure"
        if past is None:
            if self._finished:
                self.strayed = True
                raise ToolRefusedError("this code is run again after an interruption; it did not make this call before")
            call = self._next
            self._next += 1
            self.made += 1
            self._log.append(ToolCalled(step=self._step, call=call, name=name, arguments=arguments))
            return await self._make(call, tool, arguments)
        call, returned = past.called.call, past.returned
        if returned is not None and returned.error != "interrupted":
            text = self._recorded(returned)
            self._bring(name, arguments, text)
            return _value(returned, text)
        if self._finished:
            raise ToolFailedError("the cell ended before the tool did")
        waits = self._approvals is not None and self._approvals.not_approved(self._step, call)
        if tool.spec.effect == "unsafe" and not waits:
            self._log.append(ToolReturned(step=self._step, call=call, result=UNKNOWN, error="interrupted"))
            raise ToolFailedError(UNKNOWN)
        return await self._make(call, tool, arguments)

    def _bring(self, name: str, arguments: Arguments, text: str) -> None:
        """Remember no more than is shown: code may make a thousand calls that give megabytes."""
        if len(self.brought) < _MOST_BROUGHT:
            self.brought.append((name, arguments, text[:BROUGHT_CHARS]))

    def _taken(self, name: str, arguments: Arguments) -> ToolUse | None:
        """The first such call of before that was not repeated yet."""
        for use in self._past:
            if use.called.name == name and use.called.arguments == arguments:
                self._past.remove(use)
                return use
        return None

    def _recorded(self, returned: ToolReturned) -> str:
        """The whole text of a result."""
        if returned.error is not None:
            raise ToolFailedError(returned.result)
        kept = self._log.artifact(f"r{returned.step}.{returned.call}")
        return returned.result if kept is None else kept

    async def _make(self, call: int, tool: Tool, arguments: Arguments) -> Any:
        step, name = self._step, tool.name

        def log(text: str, error: str | None = None, *, structured: bool = False) -> None:
            shown = self._shown(f"r{step}.{call}", text)
            found = self._found() if error is None and name == "search_tools" else ()
            self._log.append(
                ToolReturned(
                    step=step,
                    call=call,
                    result=shown.text,
                    error=error,
                    artifact=shown.artifact,
                    structured=structured,
                    found=found,
                    simulated=tool.simulated,
                )
            )

        approve = partial(self._approvals.approved, step, call) if self._approvals else None
        try:
            if (limit := self._config.limits.calls) is not None and self.made > limit:
                raise ToolRefusedError(f"the limit of {limit} tool calls from code is reached; go on without tools")
            if syncs_first(self._config, tool):
                await self._log.sync()
            value, text = await invoke(tool, arguments, self._config.tool_seconds, approve)
        except ToolError as error:
            log(well_formed(str(error)), error.kind)
            raise
        except asyncio.CancelledError:
            log("the cell ended before the tool did", "interrupted")
            raise
        log(text, structured=not isinstance(value, str))
        self._bring(name, arguments, text)
        return value


def _value(returned: ToolReturned, text: str) -> Any:
    """The result that code was given, from its text."""
    if returned.structured is False:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if returned.structured or isinstance(value, (dict, list)) else text
