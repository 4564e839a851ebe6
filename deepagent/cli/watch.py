"""Watching a run that goes on in this process, and ending it from the keyboard."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import typer

from deepagent.agent import Agent, Delta
from deepagent.cli.terminal import json_lines, say
from deepagent.runs.events import Ended, Event, Started
from deepagent.runs.store import RunStore


class Teller(Protocol):
    """Tells of a run as it happens."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def wait(self, text: str) -> None:
        """Say what is being waited for."""
        ...

    def hear(self, item: Event | Delta) -> None:
        """Tell one event."""
        ...


class JsonLines:
    """Tells a run as the lines that `deepagent runs show --json` prints of it: what the store holds, as it holds it.

    Args:
        store: where the run is logged.
        run: its id, where it is resumed.
        told: sequence of the last event that needs no telling.
    """

    def __init__(self, store: RunStore, run: str = "", told: int = 0) -> None:
        self._store = store
        self._run = run
        self._told = told
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._write = self._stack.enter_context(json_lines())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def wait(self, text: str) -> None:
        """Nothing: machines wait without being told."""

    def hear(self, item: Event | Delta) -> None:
        """Write what is new in the log."""
        if isinstance(item, Delta):
            return
        self._run = item.run if isinstance(item, Started) else self._run
        for recorded in self._store.events(self._run, after=self._told):
            self._write(recorded.model_dump_json(exclude_none=True))
            self._told = recorded.sequence


def watch(
    agent: Agent, items: AsyncGenerator[Event | Delta], teller: Teller, store: Path | None, run: str = ""
) -> Ended | None:
    """Tell a run to its end. Ctrl-C ends it after the current step, a second Ctrl-C or SIGTERM at once.

    Args:
        agent: works on the run.
        items: what it yields.
        teller: is told.
        store: as the user named it, for the command that goes on with the run.
        run: its id, where it is resumed.

    Returns:
        How it ended, or None when it was broken off.
    """
    return asyncio.run(_Watch(agent, teller, store, run).follow(items))


class _Watch:
    def __init__(self, agent: Agent, teller: Teller, store: Path | None, run: str) -> None:
        self._agent = agent
        self._teller = teller
        self._store = store
        self._run = run
        self._ended: Ended | None = None
        self._asked = False
        self._terminated = False

    async def follow(self, items: AsyncGenerator[Event | Delta]) -> Ended | None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.add_signal_handler(signal.SIGINT, self._interrupt, task)
        loop.add_signal_handler(signal.SIGTERM, self._terminate, task)
        try:
            await self._tell(items)
        except asyncio.CancelledError:
            if self._terminated:
                say(f"ended by SIGTERM; {self._left()}")
                raise typer.Exit(128 + signal.SIGTERM) from None
            say(f"interrupted; {self._left()}")
            return None
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            loop.remove_signal_handler(signal.SIGTERM)
        if self._ended is not None and self._ended.status == "interrupted":
            say(self._left())  # the teller has said why
        return self._ended

    async def _tell(self, items: AsyncGenerator[Event | Delta]) -> None:
        async with aclosing(items):
            with self._teller as teller:
                teller.wait("opening the model")
                async for item in items:
                    if isinstance(item, Started):
                        self._run = item.run
                    teller.hear(item)
                    self._ended = item if isinstance(item, Ended) else None

    def _interrupt(self, task: asyncio.Task[object]) -> None:
        if not self._asked and self._agent.stop():
            self._asked = True
            say("stopping after this step; Ctrl-C again stops at once")
        else:
            task.cancel()

    def _terminate(self, task: asyncio.Task[object]) -> None:
        self._terminated = True
        task.cancel()

    def _left(self) -> str:
        """How to go on."""
        if not self._run:
            return "nothing was begun"
        return f"go on: deepagent run --resume {self._run}{f' --store {self._store}' if self._store else ''}"
