"""Templates in which nothing that a model or tool wrote can become markup."""

from __future__ import annotations

import hashlib
import json
import time
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from deepagent.viewer import text

STATUS_WORDS = {
    "running": "running",
    "answered": "answered",
    "forced": "answered at a limit",
    "limit": "at a limit",
    "truncated": "window full",
    "stuck": "stuck",
    "failed": "failed",
    "interrupted": "interrupted",
    "waiting": "waits for approval",
    "dead": "process gone",
}
"""How a run stands, in words."""


def templates() -> Environment:
    """The environment of all templates.

    Everything that is printed is first made visible text (`finalize`), then escaped (`autoescape`).
    """
    made = Environment(
        loader=PackageLoader("deepagent.viewer"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "clip": text.clip,
        "python": text.python,
        "number": text.number,
        "duration": text.duration,
        "when": _when,
        "clock": lambda at: time.strftime("%H:%M:%S", time.localtime(at)),
        "json": lambda value: json.dumps(value, ensure_ascii=False),
        "pretty": lambda value: json.dumps(value, ensure_ascii=False, indent=2)[:10_000],
        "arguments": _arguments,
        "status": lambda status: STATUS_WORDS.get(status, status),
    }
    made.globals |= {"share": text.share, "asset": _asset, "min": min, "max": max}
    return made


def _when(at: float) -> str:
    """Local date and time; today's without the date."""
    then = time.localtime(at)
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%-d %b %Y, %H:%M", then)


def _arguments(arguments: dict[str, object]) -> str:
    """Arguments as a call shows them."""
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())


def _asset(name: str) -> str:
    """The address of a file of ours; it changes with the file, so that browsers may keep it."""
    content = (resources.files("deepagent.viewer") / "static" / name).read_bytes()
    return f"/static/{name}?{hashlib.sha256(content).hexdigest()[:12]}"
