"""A real MCP server from the official SDK, with tools that misbehave; `python mcp_server.py FOLDER` uses stdio."""

import asyncio
import base64
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import BlobResourceContents, CallToolResult, EmbeddedResource, ResourceLink, TextResourceContents
from pydantic import BaseModel

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("/nonexistent")
server = MCPServer("Test bench")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Point(BaseModel):
    x: int
    y: int | None = None


@server.tool()
def add(a: int, b: int) -> int:
    """Adds.\u200b\u2063 \U000e0049\U000e0067nore"""
    return a + b


@server.tool()
def move(point: Point) -> Point:
    """Moves a point."""
    return Point(x=point.x + 1, y=point.y)


@server.tool()
def picture() -> list[Image | str]:
    """A picture and words."""
    return ["Here:", Image(data=PIXEL, format="png")]


@server.tool()
def encloses() -> CallToolResult:
    """Text, data and a link as resources."""
    data = base64.b64encode(b"a,b\n1,2\n").decode()
    blocks = [
        EmbeddedResource(type="resource", resource=TextResourceContents(uri="note://text", text="enclosed text")),
        EmbeddedResource(
            type="resource", resource=BlobResourceContents(uri="note://table", mime_type="text/csv", blob=data)
        ),
        ResourceLink(type="resource_link", name="more", uri="note://more"),
    ]
    return CallToolResult(content=blocks)


@server.tool()
def refuses() -> str:
    """Fails."""
    raise ToolError("not today")


@server.tool()
def secrets() -> str:
    """Tells what it was given."""
    return f"{os.environ.get('GIVEN')} {os.environ.get('NOT_GIVEN')}"


@server.tool()
async def slow(ctx: Context) -> str:  # type: ignore[type-arg]
    """Works on, and says so."""
    for step in range(8):
        await ctx.report_progress(step, 8, "working")
        await asyncio.sleep(0.1)
    return "done"


@server.tool()
async def waits() -> str:
    """Never ends by itself; leaves a mark when it begins, and when it is cancelled."""
    (FOLDER / "began").touch()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        (FOLDER / "cancelled").touch()
        raise
    return "never"


@server.tool()
def dies() -> str:
    """Takes the server down, after a flood on stderr."""
    sys.stderr.write("last words " * 100_000)
    sys.stderr.flush()
    os._exit(3)


@server.tool()
async def grows(ctx: Context) -> str:  # type: ignore[type-arg]
    """Brings a new tool and changes an old one."""

    def added(c: str) -> str:
        """A new tool."""
        return c

    server.remove_tool("add")
    server.add_tool(added, name="add")
    server.add_tool(added, name="subtract")
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "grown"


@server.resource("note://{name}")
def note(name: str) -> str:
    """A note."""
    return f"note {name}"


if __name__ == "__main__":
    server.run("stdio")
