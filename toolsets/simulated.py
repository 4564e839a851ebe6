"""Toolsets whose API is played by a model: for training and tests against services that cannot be called.

What it answers is made up. Every result is marked as simulated in the log.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepagent.errors import ModelError, ToolFailedError
from deepagent.models.base import Model, Sampling
from deepagent.tools import RUN, Arguments, JsonSchema, Tool, ToolSpec, violations
from deepagent.toolsets.base import Toolset
from deepagent.transcript import BYTES_PER_TOKEN, Message, clipped

_TRIES = 2
_SYSTEM = """\
You are the server behind an API. You get the description of one operation, earlier calls of this client with your
answers, and a new call. Answer as the real server would: plausible, specific, and consistent with what you answered
before. A call that could not succeed gets status "error" and the server's message. Reply with a JSON object alone:
{"status": "ok" or "error", "result": what the operation returns}."""


class SimulatedConfig(BaseModel):
    """A toolset that a model plays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["simulated"] = "simulated"
    source: str | dict[str, Any]
    """The toolset that is played; its tools are described, never called."""
    model: str = "embedded"
    """The model that plays it."""
    seed: int = 0
    """Another seed plays another world."""
    temperature: float = Field(0.7, ge=0)
    max_tokens: int = Field(512, ge=16)
    """Longest answer."""
    cache: Path | None = None
    """Folder in which answers are kept; by default they are forgotten at the end."""


class _Answer(BaseModel):
    """What the model replies."""

    status: Literal["ok", "error"]
    result: Any = None


@dataclass
class _World:
    """What one run has seen of the API.

    Attributes:
        changes: the calls that may have changed something, with their answers; they decide what the next answer is.
        calls: all calls, for the model to stay consistent with.
    """

    changes: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


class Simulated:
    """The toolset.

    The same call after the same changes gets the same answer, from the cache where there is one: within a run, over
    runs, and over processes that share the folder. What the model said earlier in the run is shown to it again.

    Args:
        inner: what is played. It is entered, since some toolsets know their tools only then.
        model: who plays it.
        config: how; `source` and `model` are not looked at here.
    """

    def __init__(self, inner: Toolset, model: Model, config: SimulatedConfig) -> None:
        self._inner = inner
        self._model = model
        self._config = config
        self._known: dict[str, str] = {}
        self._worlds: dict[str, _World] = {}
        self._stack = AsyncExitStack()
        self._made: tuple[object, tuple[Tool, ...]] = (None, ())

    @property
    def name(self) -> str:
        """The name of what is played."""
        return self._inner.name

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools of what is played, with the model behind them."""
        if self._made[0] is not self._inner.tools:
            self._made = self._inner.tools, tuple(self._played(tool) for tool in self._inner.tools)
        return self._made[1]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._inner)
            await stack.enter_async_context(self._model)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _played(self, tool: Tool) -> Tool:
        async def invoke(arguments: Arguments) -> Any:
            return await self._call(tool, arguments)

        return replace(tool, invoke=invoke, preview=None, simulated=True)

    async def _call(self, tool: Tool, arguments: Arguments) -> Any:
        spec, returns = tool.spec, tool.returns()
        world = self._worlds.setdefault(RUN.get(), _World())
        call = json.dumps([spec.name, arguments], sort_keys=True, ensure_ascii=False)
        key = self._key(spec, returns, call, world)
        text = self._recalled(key)
        if text is None:
            text = (await self._asked(spec, returns, call, world)).model_dump_json()
            self._keep(key, text)
        line = f"{call} -> {text}"
        world.calls.append(line)
        if spec.effect != "pure":
            world.changes.append(line)
        answer = _Answer.model_validate_json(text)
        if answer.status == "error":
            raise ToolFailedError(f"{spec.name} failed: {answer.result}")
        return answer.result

    def _key(self, spec: ToolSpec, returns: JsonSchema | None, call: str, world: _World) -> str:
        parts = [self._model.name, self._config.seed, spec.model_dump(), returns, call, world.changes]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    async def _asked(self, spec: ToolSpec, returns: JsonSchema | None, call: str, world: _World) -> _Answer:
        """The model's answer: checked, asked again with the problem, and given up."""
        seed = self._config.seed
        sampling = Sampling(temperature=self._config.temperature, max_tokens=self._config.max_tokens, seed=seed)
        messages = [
            Message(role="system", content=_SYSTEM),
            Message(role="user", content=self._question(spec, returns, call, world)),
        ]
        problem = ""
        for _ in range(_TRIES):
            try:
                reply = await self._model.chat(messages, sampling, schema=_held_to(returns))
                answer = _Answer.model_validate_json(reply.segment.text.strip())
            except ModelError as error:
                raise ToolFailedError(
                    f"{spec.name} failed: the model that plays it does not answer: {error}"
                ) from error
            except ValidationError as error:
                first = error.errors()[0]
                problem = f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
            else:
                problem = _broken(answer, returns)
                if not problem:
                    return answer
            again = f"That was not the JSON object asked for ({problem}). Reply with it alone."
            said = Message(role="assistant", content=reply.segment.text)
            messages = [*messages, said, Message(role="user", content=again)]
        raise ToolFailedError(f"{spec.name} failed: the model that plays it answered no such object ({problem})")

    def _question(self, spec: ToolSpec, returns: JsonSchema | None, call: str, world: _World) -> str:
        """What is asked, within the model's window: of the earlier calls as many as fit, the latest of all."""
        room = max(400, (self._model.context - 2 * self._config.max_tokens) * BYTES_PER_TOKEN // 2)
        results = f"\nResults fit this schema: {json.dumps(returns)}" if returns else ""
        about = clipped(f"{spec.card}\n{json.dumps(spec.parameters)}{results}", room // 2)
        earlier: list[str] = []
        left = room // 2
        for line in reversed(world.calls):
            left -= len(line.encode()) + 1
            if left < 0:
                break
            earlier.insert(0, line)
        said = "\n".join(earlier) or "none"
        return f"Operation of {spec.toolset or 'the API'}:\n{about}\n\nEarlier calls:\n{said}\n\nNew call:\n{call}"

    def _recalled(self, key: str) -> str | None:
        if key in self._known or self._config.cache is None:
            return self._known.get(key)
        try:
            text = (self._config.cache / key[:2] / f"{key}.json").read_text(encoding="utf-8")
            _Answer.model_validate_json(text)
        except (OSError, ValueError):  # not there, or damaged: it is asked again
            return None
        return text

    def _keep(self, key: str, text: str) -> None:
        self._known[key] = text
        if self._config.cache is None:
            return
        folder = self._config.cache / key[:2]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as written:
                written.write(text)
            os.replace(written.name, folder / f"{key}.json")  # whole or not at all, whoever else writes it
        except OSError as error:
            raise ToolFailedError(f"the cache of simulated answers cannot be written: {error.strerror}") from error


def _held_to(returns: JsonSchema | None) -> JsonSchema:
    """The schema of the reply, with the schema of results inside it where the tool has one."""
    if not returns:
        return _Answer.model_json_schema()
    inner = {key: value for key, value in returns.items() if key != "$defs"}
    ways = [{"status": {"const": "ok"}, "result": inner}, {"status": {"const": "error"}, "result": {"type": "string"}}]
    options = [{"type": "object", "properties": one, "required": ["status", "result"]} for one in ways]
    return {"anyOf": options, **({"$defs": returns["$defs"]} if "$defs" in returns else {})}


def _broken(answer: _Answer, returns: JsonSchema | None) -> str:
    """The first way in which a result breaks its schema; nothing where it fits, or the schema cannot be used."""
    if not returns or answer.status == "error":
        return ""
    with contextlib.suppress(ValueError):
        return next((f"result: {one}" for one in violations(returns, answer.result)), "")
    return ""
