"""Calling one tool: whatever it does wrong becomes a `ToolError` that the model can read."""

from __future__ import annotations

import asyncio
from typing import Any

from deepagent.errors import SandboxError, ToolError, ToolFailedError, ToolTimeoutError
from deepagent.tools import Arguments, Tool, check_arguments, render_result, told


async def invoke(tool: Tool, arguments: Arguments, seconds: float) -> tuple[Any, str]:
    """Check the arguments, call within a time limit, and render the result.

    Returns:
        The result as the tool gave it, and as text.

    Raises:
        ToolError: anything that the arguments or the tool did wrong, also a deepagent that runs inside the tool.
        SandboxError: the walls that the tool itself stands on are broken.
    """
    checked = check_arguments(tool.spec, arguments)
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
