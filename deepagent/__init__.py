"""One stream of thought that finds its own tools."""

__version__ = "0.1.0"
