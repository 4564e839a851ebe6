"""The line between the bench and a framework that works in a process of its own: one JSON object a line, both ways.

The bench says what to do; the framework asks for tool calls and searches, and says the answer in the end.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class CallFailedError(Exception):
    """What a tool says when it cannot do what it is asked to."""


@dataclass(frozen=True)
class RemoteTool:
    """A tool that the bench calls.

    Attributes:
        name: also a Python identifier.
        parameters: JSON Schema of an object.
    """

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One task.

    Attributes:
        url: of the model server, with `/v1`.
        turns: replies of the model, at most.
        tools: those that the task may use; where `finds` is set, all there are.
        finds: whether tools have to be found by search.
    """

    task: str
    url: str
    model: str
    turns: int
    max_tokens: int
    temperature: float
    seed: int
    tools: tuple[RemoteTool, ...]
    finds: bool


class Link:
    """The framework's end. What it prints goes to stderr from now on, since stdout is the line."""

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(0), encoding="utf-8")
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._turn = threading.Lock()
        os.dup2(2, 1)

    def jobs(self) -> Iterator[Job]:
        """What is to be done, one after the other, until the bench has no more."""
        while line := self._lines.readline():
            given = json.loads(line)
            tools = tuple(RemoteTool(**tool) for tool in given.pop("tools"))
            yield Job(tools=tools, **given)

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a tool: a JSON value, or text where its result is none.

        Raises:
            CallFailedError: it failed; the text says why.
        """
        answered = self._asked({"call": name, "arguments": arguments})
        if "error" in answered:
            raise CallFailedError(answered["error"])
        return answered["value"]

    def told(self, name: str, arguments: dict[str, Any]) -> str:
        """Call a tool: its result as text, or what went wrong."""
        try:
            value = self.call(name, arguments)
        except CallFailedError as error:
            return f"error: {error}"
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def search(self, query: str) -> list[str]:
        """Names of the tools that fit a description."""
        return list(self._asked({"search": query})["names"])

    def end(self, *, answer: str | None = None, failed: str | None = None) -> None:
        """The job is over."""
        self._say({"answer": answer, "failed": failed})

    def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        with self._turn:  # frameworks call tools from several threads
            self._say(question)
            answered: dict[str, Any] = json.loads(self._lines.readline() or '{"error": "the bench is gone"}')
            return answered

    def _say(self, said: dict[str, Any]) -> None:
        self._out.write(json.dumps(said, default=str) + "\n")
        self._out.flush()
