"""`deepagent serve`: what others can use over the network."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from deepagent.cli.index import OpenedEncoderOption
from deepagent.cli.terminal import plain, say, stdout
from deepagent.config import effective
from deepagent.errors import UsageError
from deepagent.retrieval.choice import open_index
from deepagent.toolsets.base import Host
from deepagent.toolsets.indexed import IndexedTools, named

app = typer.Typer(no_args_is_help=True)

PORT = 7862


@app.callback()
def _group() -> None:
    """Serve an index to other programs."""


@app.command()
def tools(
    index: Annotated[Path, typer.Argument(help="Folder of the index.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine callers must show a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = PORT,
    token: Annotated[
        str | None, typer.Option(envvar="DEEPAGENT_SERVE_TOKEN", help="What callers must show as a bearer.")
    ] = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="Speak MCP over stdin and stdout instead of HTTP.")] = False,
    call: Annotated[
        list[str] | None,
        typer.Option("--call", help="Source whose tools MCP clients may call, as given to `index build`. Repeatable."),
    ] = None,
    unsafe_calls: Annotated[
        bool, typer.Option("--unsafe-calls", help="Also call tools whose effect must not be repeated unasked.")
    ] = False,
    encoder: OpenedEncoderOption = None,
) -> None:
    """Serve tool search over HTTP, and as an MCP server with the tools search_tools and call_tool.

    POST /retrieve takes {"query": ..., "top_k": 5, "toolset": ...}; GET /healthz tells that it lives; MCP clients
    connect to /mcp, or start the command with --stdio. Found tools can be called only where --call allows it.

    Examples:
      deepagent serve tools my-index
      deepagent serve tools my-index --call apis/ --stdio
      curl -d '{"query": "book a table"}' http://127.0.0.1:7862/retrieve
    """
    try:
        from deepagent.serving.batching import BatchSearch
        from deepagent.serving.calls import Caller
        from deepagent.serving.server import Server, serve_stdio
    except ModuleNotFoundError as error:
        raise UsageError(f"the service needs {error.name}: pip install 'deepagent[serve]'") from error
    opened = open_index(index, encoder)
    settings = effective().settings
    indexed = IndexedTools(opened, named(call or ()), Host(settings.agent.sandbox))
    caller = Caller(indexed, unsafe=unsafe_calls, seconds=settings.agent.tool_seconds)
    searcher = BatchSearch(opened)
    if stdio:
        asyncio.run(serve_stdio(searcher, caller))
        return
    server = Server(searcher, caller, host, port, token)
    stdout.print(plain(f"{len(opened)} tools at {server.url}  (Ctrl-C ends)"), soft_wrap=True)
    server.run()
    say("stopped")
