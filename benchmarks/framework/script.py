"""The script that every client plays: look keys up one after another, then answer."""

from __future__ import annotations

STEPS = 20
"""Model calls of one run: all but the last ask for a tool."""
ANSWER = "done"
TASK = f"Look up the keys key-01 to key-{STEPS - 1:02}, one after another, then answer with the word {ANSWER}."
MODEL = "scripted"
TOOL = "lookup"
INSTRUCTIONS = "You solve tasks with tools."


def key(step: int) -> str:
    return f"key-{step:02}"


def lookup(key: str) -> str:
    """Look up one key.

    Args:
        key: the key to look up.
    """
    return f"value of {key}"


async def lookup_async(key: str) -> str:
    """Look up one key.

    Args:
        key: the key to look up.
    """
    return lookup(key)


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": TOOL,
            "description": "Look up one key.",
            "parameters": {
                "type": "object",
                "properties": {"key": {"type": "string", "description": "the key to look up."}},
                "required": ["key"],
            },
        },
    }
]
"""The tool as a chat API is told of it, for the raw loops."""
