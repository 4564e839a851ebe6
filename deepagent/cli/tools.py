"""`deepagent tools`: look at tools, and call them by hand."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from deepagent.cli.options import ConfigOption
from deepagent.cli.terminal import interruptible, plain, say_table, stdout
from deepagent.config import RunConfig, effective
from deepagent.errors import InvalidArgumentsError, UsageError
from deepagent.invocation import invoke
from deepagent.models.roles import Models
from deepagent.tools import Tool, check_arguments
from deepagent.toolsets.base import Host
from deepagent.toolsets.composition import Composition
from deepagent.toolsets.resolve import open_toolset

app = typer.Typer(no_args_is_help=True)

SourceOption = Annotated[
    list[str] | None,
    typer.Option("--tools", "-t", help="Tool source: python:FILE.py, openapi:FILE, mcp:COMMAND, ... Repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DESCRIPTION_CHARS = 100


@app.command("list")
def list_(
    tools: SourceOption = None,
    config: ConfigOption = None,
    match: Annotated[str, typer.Option("--match", help="Only tools whose name or description holds this.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show all tools of some sources, one a line."""
    wanted = match.lower()
    specs = [
        tool.spec
        for tool in asyncio.run(_all(_settings(config, tools)))
        if wanted in f"{tool.name} {tool.spec.description}".lower()
    ]
    if as_json:
        typer.echo(json.dumps([spec.model_dump() for spec in specs]))
        return
    table = Table("tool", "from", "effect", "description", box=None)
    for spec in specs:
        about = " ".join(spec.description[: 4 * _DESCRIPTION_CHARS].split())[:_DESCRIPTION_CHARS]
        table.add_row(plain(spec.name, "bold"), plain(spec.toolset), spec.effect, plain(about))
    say_table(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the tool.")],
    tools: SourceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a tool as the model sees it, and its schema."""
    tool = _found(asyncio.run(_all(_settings(config, tools))), name)
    if as_json:
        typer.echo(tool.spec.model_dump_json())
        return
    stdout.print(plain(tool.spec.card), soft_wrap=True)
    stdout.print(plain(f"from {tool.spec.toolset or 'nowhere'}, {tool.spec.effect}"))
    stdout.print(plain(json.dumps(tool.spec.parameters, indent=2, ensure_ascii=False)), soft_wrap=True)


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="Name of the tool.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments, as a JSON object.")] = "{}",
    tools: SourceOption = None,
    config: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
) -> None:
    """Call a tool and print its result.

    Examples:
      deepagent tools call listOrders '{"customer": 7}' -t openapi:shop.yaml
    """
    settings, given = _settings(config, tools), _read(arguments)
    with interruptible("the call may have had its effect all the same"):
        try:
            text = asyncio.run(_called(settings, name, given, dry_run))
        except InvalidArgumentsError as error:
            raise UsageError(str(error)) from error
    stdout.print(plain(text), soft_wrap=True)


async def _called(settings: RunConfig, name: str, arguments: dict[str, Any], dry: bool) -> str:
    async with _opened(settings) as composition:
        tool = _found(composition(), name)
        if not dry:
            return (await invoke(tool, arguments, settings.agent.tool_seconds))[1]
        if tool.preview is None:
            raise UsageError(f"{name} sends no request, so there is none to show; leave out --dry-run")
        return await tool.preview(check_arguments(tool.spec, arguments))


async def _all(settings: RunConfig) -> Sequence[Tool]:
    async with _opened(settings) as composition:
        return composition()


@asynccontextmanager
async def _opened(settings: RunConfig) -> AsyncIterator[Composition]:
    composition = Composition()
    async with AsyncExitStack() as stack:
        models = await stack.enter_async_context(Models(settings.roles))
        host = Host(settings.agent.sandbox, models.get)
        for source in settings.tools:
            composition.add(await stack.enter_async_context(open_toolset(source, host)))
        yield composition


def _settings(config: Path | None, tools: list[str] | None) -> RunConfig:
    settings = effective(config).settings
    sources = (*settings.tools, *(tools or ()))
    if not sources:
        raise UsageError("no tools are named; give --tools SOURCE, or --config FILE with tools")
    return settings.model_copy(update={"tools": sources})


def _found(tools: Sequence[Tool], name: str) -> Tool:
    for tool in tools:
        if name in (tool.name, tool.spec.identifier):
            return tool
    near = difflib.get_close_matches(name, [tool.name for tool in tools], n=3)
    hint = f"; there is {', '.join(near)}" if near else ""
    raise UsageError(f"there is no tool {name!r}{hint}")


def _read(arguments: str) -> dict[str, Any]:
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the arguments are no JSON: {error}") from error
    if not isinstance(given, dict):
        raise UsageError('the arguments are no JSON object; write them as {"name": value}')
    return given
