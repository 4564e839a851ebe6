"""`deepagent run`: work on one task."""

from __future__ import annotations

import asyncio
import os
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deepagent.agent import Agent
from deepagent.cli.options import (
    AdapterOption,
    ConfigOption,
    JsonOption,
    ModelOption,
    SetOption,
    StoreOption,
    UnsafeOption,
    given_by_options,
    settings_from,
    walled,
    wearing,
)
from deepagent.cli.recorded import settings_of
from deepagent.cli.story import Story
from deepagent.cli.terminal import plain, say, stderr, stdout
from deepagent.cli.watch import JsonLines, watch
from deepagent.config import RunConfig
from deepagent.errors import UsageError
from deepagent.resources import default_store
from deepagent.runs.events import Ended
from deepagent.runs.store import RunStore
from deepagent.settings import Given, merge
from deepagent.tools import Arguments, ToolSpec


def run(
    task: Annotated[str, typer.Argument(help="What to do. '-' reads it from standard input.")] = "",
    model: ModelOption = None,
    adapter: AdapterOption = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            "--tools", "-t", help="Tool source: python:FILE.py, openapi:FILE, index:FOLDER, mcp:COMMAND. Repeatable."
        ),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    store: StoreOption = None,
    attach: Annotated[
        list[Path] | None, typer.Option("--attach", "-a", help="A file for the task. Repeatable.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", help="Go on with a run instead: its id, the beginning or end of it, or 'last'."),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask before calls of tools that must not be repeated (effect: unsafe).")
    ] = False,
    json: JsonOption = False,
    unsafe_execute: UnsafeOption = False,
) -> None:
    """Work on a task and print the answer.

    A run that was interrupted, or whose process died, goes on with --resume: nothing is paid or done twice. It needs no
    other option, unless something is to be different from now on.

    Examples:
      deepagent run "What is the sum of the primes below 100?"
      deepagent run --tools python:my_tools.py "Who ordered most?"
      deepagent run -m http://127.0.0.1:8000/v1#Qwen/Qwen3-8B -t toolhop "..."
      deepagent run --resume last
    """
    if resume is not None:
        if task or attach:
            raise UsageError("a run that is resumed has its task: give either a task or --resume")
        resume, settings = recorded(resume, store, config, given_by_options(model, set_), unsafe_execute)
        settings = wearing(settings, adapter)
        go_on(resume, _asking(settings, ask), store, *(tools or ()), json=json)
    text = _read_task(task)
    settings = wearing(settings_from(config, given_by_options(model, set_), unsafe_execute), adapter)
    with RunStore(store or default_store()) as opened:
        teller = JsonLines(opened) if json else Story(stdout)
        agent = _agent(_asking(settings, ask), opened, *(tools or ()), at_terminal=not json)
        ended = watch(agent, agent.stream(text, attachments=attach or ()), teller, store)
    raise typer.Exit(exit_code(ended))


def go_on(run: str, settings: RunConfig, store: Path | None, *tools: str, json: bool) -> NoReturn:
    """Resume a run, tell of it, and exit as it ends."""
    with RunStore(existing_store(store)) as opened:
        teller = JsonLines(opened, run, len(opened.events(run))) if json else Story(stdout)
        agent = _agent(settings, opened, *tools, at_terminal=not json)
        ended = watch(agent, agent.stream_resumed(run), teller, store, run)
    raise typer.Exit(exit_code(ended))


def _asking(settings: RunConfig, ask: bool) -> RunConfig:
    if not ask:
        return settings
    return settings.model_copy(update={"agent": settings.agent.model_copy(update={"approval": "unsafe"})})


def _agent(settings: RunConfig, store: RunStore, *tools: str, at_terminal: bool) -> Agent:
    """The agent that settings describe; where it is asked at a terminal, approval is given there."""
    asks = at_terminal and settings.agent.approval == "unsafe" and sys.stdin.isatty()
    return Agent(
        settings.model,
        [*settings.tools, *tools],
        config=settings.agent,
        auxiliary=settings.auxiliary,
        judge=settings.judge,
        vision=settings.vision,
        store=store,
        indexing=say_indexing,
        approve=_ask if asks else None,
    )


async def _ask(tool: ToolSpec, arguments: Arguments) -> bool:
    """Ask on the terminal whether a call may be made; anything but `y` or `yes` is a no."""
    asked = ", ".join(f"{name}={dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    stderr.print(plain(f"call {tool.name}({asked})? [y/N] "), end="", soft_wrap=True)
    loop, line = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), line.set)
    try:
        await line.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def recorded(
    run: str, store: Path | None, config: Path | None, options: list[Given], unsafe: bool
) -> tuple[str, RunConfig]:
    """A run's id, and what to go on with: its own settings (not those of the environment), and options over them."""
    with RunStore(existing_store(store)) as opened:
        run = opened.resolve(run)
        if config is not None:
            return run, settings_from(config, options, unsafe)
        model = next((given.value for given in options if given.key == ("model",)), None)
        settings = settings_of(opened, run, model)
    own = Given((), settings.model_dump(exclude_unset=True), f"run {run}")
    return run, walled(lambda more: merge([own, *more], RunConfig), options, unsafe)


def existing_store(path: Path | None) -> Path:
    """Where the store is, which looking at must not create where the user mistyped its name.

    Raises:
        UsageError: a store was named, and is not there.
    """
    if path is not None and not path.exists():
        raise UsageError(f"there is no run store {path}; give the one that `deepagent run --store` wrote")
    return path or default_store()


def _read_task(given: str) -> str:
    try:
        text = (sys.stdin.buffer.read() if given == "-" else os.fsencode(given)).decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the task is no UTF-8 text ({error.reason} at byte {error.start}); convert it first"
        ) from error
    if not text.strip():
        raise UsageError("the task is empty; say what to do")
    return text


def say_indexing(count: int) -> None:
    """Say why nothing happens for a while."""
    say(f"embedding {count} tools for search")


def exit_code(ended: Ended | None) -> int:
    """0 with an answer, 130 when the user ended it (None: in the middle of something), else 1."""
    if ended is None or ended.status == "interrupted":
        return 130
    return 0 if ended.answer is not None else 1
