"""Calling one tool: whatever it does wrong becomes a `ToolError` that the model can read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from deepagent.errors import SandboxError, ToolError, ToolFailedError, ToolRefusedError, ToolTimeoutError
from deepagent.tools import Arguments, Tool, ToolSpec, check_arguments, render_result, told

Approve = Callable[[ToolSpec, Arguments], Awaitable[bool]]
"""Asked before a call that must not be repeated unasked (`effect` is `unsafe`); the call is made if it says so."""


async def invoke(tool: Tool, arguments: Arguments, seconds: float, approve: Approve | None = None) -> tuple[Any, str]:
    """Check the arguments, have the call approved, call within a time limit, and render the result.

    Args:
        tool: what to call.
        arguments: by name.
        seconds: time limit of the call.
        approve: who is asked before an unsafe call; nobody by default.

    Returns:
        The result as the tool gave it, and as text.

    Raises:
        ToolError: anything that the arguments or the tool did wrong, also a deepagent that runs inside the tool.
        SandboxError: the walls that the tool itself stands on are broken.
    """
    checked = check_arguments(tool.spec, arguments)
    if approve is not None and tool.spec.effect == "unsafe" and not await approve(tool.spec, checked):
        raise ToolRefusedError(f"the call of {tool.name} is not approved; find another way, or say why it is needed")
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            value = await tool.invoke(checked)
            return value, render_result(value)
    except (ToolError, SandboxError):
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # the run is being ended; otherwise the tool cancelled itself
        raise ToolFailedError(f"{tool.name} failed: it was cancelled") from error
    except Exception as error:
        if limit.expired():
            message = f"{tool.name} did not answer within {seconds:g} s; try something else"
            raise ToolTimeoutError(message) from error
        raise ToolFailedError(f"{tool.name} failed: {told(error)}") from error
