"""An index as a service: over HTTP, and as an MCP server."""
