"""A tool for cells to call."""

from deepagent.tools import ToolSpec

SEARCH = ToolSpec(
    name="shop.search",
    description="Finds goods.",
    parameters={
        "type": "object",
        "properties": {"limit": {"type": "integer"}, "order": {"default": "price"}, "query": {"type": "string"}},
        "required": ["query"],
    },
)


async def echo(name, arguments):
    return {"name": name, "arguments": arguments}
