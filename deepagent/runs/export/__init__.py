"""Runs in the shapes that other programs and people take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from deepagent.runs.events import Recorded
from deepagent.runs.export.chat import conversations
from deepagent.runs.export.report import report
from deepagent.runs.export.table import table

Format = Literal["jsonl", "sft", "markdown", "csv"]


def _lines(events: Sequence[Recorded]) -> Iterator[str]:
    """Every event as a line of JSON, as `deepagent runs show --json` prints it."""
    for recorded in events:
        yield recorded.model_dump_json(exclude_none=True) + "\n"


_FORMATS: dict[Format, Callable[[Sequence[Recorded]], Iterator[str]]] = {
    "jsonl": _lines,
    "sft": conversations,
    "markdown": report,
    "csv": table,
}


def export(events: Sequence[Recorded], form: Format, *, first: bool = True) -> Iterator[str]:
    """A run in pieces of text.

    Args:
        events: of one run, all of them.
        form: the format.
        first: False for further runs in the same file: a table has one heading, reports a line between them.
    """
    pieces = _FORMATS[form](events)
    if not first and form == "csv":
        next(pieces)
    if not first and form == "markdown":
        yield "\n---\n\n"
    yield from pieces
