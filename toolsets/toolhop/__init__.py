"""ToolHop's tools: one open catalogue of executable functions."""
