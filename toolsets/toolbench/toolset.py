"""ToolBench's APIs as tools, called through ToolBench's own service, which needs a key.

Without a key they can be played by a model: `{kind: simulated, source: toolbench}`.
"""

from __future__ import annotations

import gzip
import json
import re
from contextlib import AsyncExitStack
from functools import cache
from importlib import resources
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from deepagent.errors import ToolFailedError, UsageError
from deepagent.secrets import Redactor, Secret
from deepagent.tools import Arguments, Tool, ToolSpec
from deepagent.toolsets.http import Fetcher, Guard, Request, host_of

_OK = 200


class ToolBenchConfig(BaseModel):
    """How the APIs are called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["toolbench"] = "toolbench"
    key: Secret | None = None
    """A ToolBench key (https://github.com/OpenBMB/ToolBench says how to get one); without it no call succeeds."""
    url: str = "http://8.130.32.149:8080/rapidapi"
    """ToolBench's service, which calls RapidAPI."""
    seconds: float = Field(30, gt=0)
    """Longest time of one call."""


@cache
def catalogue() -> tuple[dict[str, Any], ...]:
    """The rows of the data file: name, category, tool, api, method, description, parameters."""
    data = resources.files("deepagent.toolsets.toolbench").joinpath("apis.jsonl.gz").read_bytes()
    return tuple(json.loads(line) for line in gzip.decompress(data).splitlines())


class ToolBench:
    """The toolset.

    Args:
        config: how it calls.
    """

    name = "toolbench"

    def __init__(self, config: ToolBenchConfig) -> None:
        self._config = config
        host = frozenset({host_of(config.url)})
        self._fetcher = Fetcher(Guard(hosts=host, named=host, seconds=config.seconds))
        self._redactor = Redactor()
        self._stack = AsyncExitStack()
        self.tools = tuple(self._tool(row) for row in catalogue())

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._fetcher)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _tool(self, row: dict[str, Any]) -> Tool:
        spec = ToolSpec(
            name=row["name"],
            description=row["description"],
            parameters=row["parameters"],
            toolset=row["category"],
            effect="pure" if row["method"] == "GET" else "unsafe",
        )

        async def invoke(arguments: Arguments) -> Any:
            return await self._called(row, arguments)

        return Tool(spec, invoke)

    async def _called(self, row: dict[str, Any], arguments: Arguments) -> Any:
        """Let the service call the API."""
        asked = {
            "category": row["category"],
            "tool_name": standard(row["tool"]),
            "api_name": standard(row["api"]),
            "tool_input": arguments,
            "strip": "raw",
            "toolbench_key": self._key(row["name"]),
        }
        headers = {"content-type": "application/json"}
        body = json.dumps(asked).encode()
        response = await self._fetcher.fetch(Request("POST", self._config.url, headers, body))
        told = self._redactor.struck(response.text())
        try:
            answer = json.loads(told)
        except ValueError:
            answer = None
        if response.status != _OK or not isinstance(answer, dict):
            raise ToolFailedError(f"{row['name']} failed: the service answered {response.status}: {told[:300]}")
        if answer.get("error"):
            raise ToolFailedError(f"{row['name']} failed: {answer['error']}")
        return answer.get("response", "")

    def _key(self, name: str) -> str:
        if self._config.key is None:
            raise ToolFailedError(f"{name} cannot be called: no ToolBench key is set")
        try:
            key = self._config.key.reveal()
        except UsageError as error:  # it is missing on this machine; the model cannot mend that
            raise ToolFailedError(f"{name} cannot be called: {error}") from None
        self._redactor.learn([key])
        return key


def standard(name: str) -> str:
    """A name in ToolBench's own form."""
    plain = re.sub(r"_+", "_", re.sub(r"[^0-9a-zA-Z]+", "_", name)).strip("_").lower()
    return f"get_{plain}" if plain[:1].isdigit() else plain
