"""The index as an MCP server: two tools, through which a client finds and calls all others."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError as McpToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from deepagent import __version__
from deepagent.errors import DeepAgentError
from deepagent.serving.batching import BatchSearch
from deepagent.serving.calls import Caller

_INSTRUCTIONS = (
    "These are {count} tools behind two. Say in plain words what you need to `search_tools`; it answers with the "
    "names, parameters and descriptions of the tools that fit best. Then call one by its exact name with `call_tool`."
)
_MOST = 50


def mcp_server(searcher: BatchSearch, caller: Caller) -> MCPServer[Any]:
    """The MCP server over an index, for any of the SDK's transports.

    Args:
        searcher: searches the index, entered.
        caller: calls its tools, entered.
    """
    instructions = _INSTRUCTIONS.format(count=len(searcher.index))
    server: MCPServer[Any] = MCPServer(
        "deepagent-tools", instructions=instructions, version=__version__, log_level="WARNING"
    )

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))  # type: ignore[untyped-decorator]  # mypy skips the SDK
    async def search_tools(
        query: Annotated[str, Field(description="What the tool should do, in plain words.")],
        k: Annotated[int, Field(ge=1, le=_MOST, description="Most tools to return.")] = 5,
        toolset: Annotated[str | None, Field(description="Search in this toolset alone.")] = None,
    ) -> list[dict[str, Any]]:
        """Find tools by what they do; the best come first."""
        try:
            hits = await searcher.search(query, k, toolset=toolset)
        except DeepAgentError as error:
            raise McpToolError(str(error)) from error
        return [
            {
                "name": hit.spec.name,
                "toolset": hit.spec.toolset,
                "description": hit.spec.description,
                "parameters": hit.spec.parameters,
                "effect": hit.spec.effect,
                "callable": caller.callable(hit.spec.name),
                "score": round(hit.score, 4),
            }
            for hit in hits
        ]

    @server.tool(annotations=ToolAnnotations(open_world_hint=True))  # type: ignore[untyped-decorator]
    async def call_tool(
        name: Annotated[str, Field(description="Exact name of a tool that search_tools found.")],
        arguments: Annotated[dict[str, Any], Field(description="Its arguments, by name.")],
    ) -> str:
        """Call a tool that was found."""
        try:
            return await caller.call(name, arguments)
        except DeepAgentError as error:
            raise McpToolError(str(error)) from error

    return server
