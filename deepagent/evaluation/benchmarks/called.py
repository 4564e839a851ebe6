"""The tool calls of an episode, whether the model made them or its code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deepagent.actions import Call
from deepagent.runs.steps import Step


@dataclass(frozen=True)
class Called:
    """One call.

    Attributes:
        result: what the tool returned, as far as the log shows it, or why it failed.
        ok: whether it did what it was asked to.
    """

    name: str
    arguments: dict[str, Any]
    result: str
    ok: bool


def calls(steps: Iterable[Step]) -> list[Called]:
    """All calls that came back, in order."""
    made: list[Called] = []
    for step in steps:
        if isinstance(step.action, Call) and step.observation is not None:
            action, seen = step.action, step.observation
            made.append(Called(action.name, action.arguments, seen.text, seen.ok))
        for use in step.uses:
            if (back := use.returned) is not None:
                made.append(Called(use.called.name, use.called.arguments, back.result, back.error is None))
    return made


def listed(made: Iterable[Called], *, longest: int = 600) -> str:
    """Calls with their results, one a line, for a judge.

    Args:
        made: the calls.
        longest: characters that are shown of each result.
    """
    lines = []
    for number, call in enumerate(made, 1):
        result = " ".join(call.result.split())
        shown = result if len(result) <= longest else f"{result[:longest]}... ({len(result)} characters)"
        arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
        lines.append(f"{number}. {call.name}({arguments}) -> {'' if call.ok else 'FAILED: '}{shown}")
    return "\n".join(lines) or "(none)"
