"""ToolHop's functions as one open catalogue.

Every task's functions stand side by side, so an agent has to find the right ones among look-alikes; nothing in the
catalogue says which task a tool belongs to. The functions are foreign code: they run confined, in an interpreter of
their own that the agent's code cannot reach.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from importlib import resources
from types import TracebackType
from typing import Any, Self

from deepagent.errors import ToolFailedError
from deepagent.sandbox import Kernel, SandboxConfig
from deepagent.tools import Arguments, Tool, ToolSpec

_SECONDS = 10
_RUN = """
def _call_foreign(source, name, arguments):
    import contextlib, io, json
    space = {{"__name__": "tool"}}
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # many sources run examples when they are loaded
            exec(source, space)
            value = space[name](**json.loads(arguments))
        return json.dumps({{"value": value}}, default=str)
    except Exception as error:
        return json.dumps({{"error": f"{{type(error).__name__}}: {{error}}"}})
print(_call_foreign({source!r}, {name!r}, {arguments!r}))
"""


@cache
def catalogue() -> tuple[dict[str, Any], ...]:
    """The rows of the data file: name, function, description, parameters, source."""
    data = resources.files("deepagent.toolsets.toolhop").joinpath("functions.jsonl.gz").read_bytes()
    return tuple(json.loads(line) for line in gzip.decompress(data).splitlines())


class ToolHop:
    """The toolset.

    Args:
        sandbox: how the functions are confined.
    """

    name = "toolhop"

    def __init__(self, sandbox: SandboxConfig) -> None:
        config = sandbox.model_copy(update={"seconds": _SECONDS, "output_chars": 200_000})
        self._kernel = Kernel(config)
        self.tools = tuple(self._tool(row) for row in catalogue())

    async def __aenter__(self) -> Self:
        await self._kernel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._kernel.__aexit__(kind, error, traceback)

    def _tool(self, row: dict[str, Any]) -> Tool:
        spec = ToolSpec(
            name=row["name"],
            description=row["description"],
            parameters=row["parameters"],
            effect="pure",
        )

        async def invoke(arguments: Arguments) -> Any:
            code = _RUN.format(source=row["source"], name=row["function"], arguments=json.dumps(arguments))
            done = await self._kernel.execute(code)
            if done.error_kind is not None:
                raise ToolFailedError(f"{spec.name} failed: {done.error or done.error_kind}")
            return _value(spec.name, done.output)

        return Tool(spec=spec, invoke=invoke)


def _value(name: str, output: str) -> Any:
    """What the function returned; foreign code can also write beside the reply, or return more than is kept."""
    try:
        reply = json.loads(output)
    except ValueError:
        reply = None
    if not isinstance(reply, dict) or not reply.keys() & {"value", "error"}:
        raise ToolFailedError(f"{name} failed: its result cannot be read; it is too large, or mixed with other output")
    if "error" in reply:
        raise ToolFailedError(f"{name} failed: {reply['error']}")
    return reply["value"]
