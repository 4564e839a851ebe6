"""OpenAPI documents as toolsets: every operation is a tool."""
