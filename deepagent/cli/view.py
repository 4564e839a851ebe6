"""`deepagent view`: runs in a web page."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from deepagent.cli.options import StoreOption
from deepagent.cli.run import existing_store
from deepagent.cli.terminal import plain, stdout
from deepagent.errors import UsageError

PORT = 7861


def view(
    store: StoreOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at. Beyond this machine, callers need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = PORT,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="DEEPAGENT_VIEW_TOKEN", help="What callers must show; made up where needed."),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show recorded and running runs in a web page.

    Examples:
      deepagent view                      # http://127.0.0.1:7861
      deepagent view --store team.sqlite --port 0 --open
      deepagent view --host 0.0.0.0       # prints an address with a token
    """
    try:
        from deepagent.viewer.server import Server
    except ModuleNotFoundError as error:
        raise UsageError(f"the page needs {error.name}: pip install 'deepagent[view]'") from error
    server = Server(existing_store(store), host, port, token)
    stdout.print(plain(f"runs of {existing_store(store)} at {server.url}  (Ctrl-C ends)"), soft_wrap=True)
    if open_browser:
        webbrowser.open(server.url)
    server.run()
