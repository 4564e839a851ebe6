"""The built-in tool `recall`: exact text of any earlier step or stored result, so that folding loses nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from deepagent.errors import InvalidArgumentsError
from deepagent.memory.archive import RECALL, Archive, Passage
from deepagent.memory.schema import one_line
from deepagent.tools import Arguments, Tool, ToolSpec, render_result
from deepagent.toolsets.functions import in_daemon_thread

__all__ = ["RECALL", "SPEC", "recall_tool"]

_LENGTH = 2000
_HITS = 8
_EXCERPT = 240
_STEP = re.compile(r"(?:step\s*)?(\d+(?:\.\d+)?)", re.IGNORECASE)
_PATTERNS = re.compile(r"\b(?:match|search)\s*\(")

SPEC = ToolSpec(
    name=RECALL,
    description="Exact text of an earlier step or stored result of this run by id, or the places that mention words.",
    parameters={
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": 'a step ("3"), a call that its code made ("3.1"), a result ("r3")'},
            "query": {"type": "string", "description": "words to look for instead"},
            "path": {"type": "string", "description": 'JSONPath into a JSON result, such as "$.items[0].name"'},
            "start": {"type": "integer", "description": "first character to show", "minimum": 0, "default": 0},
            "length": {"type": "integer", "description": "how many", "minimum": 1},
        },
    },
    toolset="built-in",
    effect="pure",
)


def recall_tool(archive: Archive, *, length: int = _LENGTH) -> Tool:
    """The tool over one run's archive; `length` is how many characters it shows at a time."""
    most = length

    async def invoke(arguments: Arguments) -> str:
        start = int(arguments.get("start", 0))
        length = min(most, int(arguments.get("length", most)))
        id = str(arguments.get("id") or "").strip()
        if id and arguments.get("path"):
            return _cut(await _inside(archive, id, str(arguments["path"])), start, length)
        if id:
            return _cut(_known(id, archive.text(_as_id(id))), start, length)
        if arguments.get("query"):
            return _listed(str(arguments["query"]), archive.search(str(arguments["query"]), _HITS), most)
        raise InvalidArgumentsError('give an id (a step such as "3", a stored result such as "r3") or a query')

    return Tool(spec=SPEC, invoke=invoke)


def _as_id(id: str) -> str:
    """An id as the archive knows it; a model may write `step 3`."""
    match = _STEP.fullmatch(id)
    return match.group(1) if match else id


def _known(id: str, text: str | None) -> str:
    if text is None:
        raise InvalidArgumentsError(
            f"nothing is stored under {id!r}; ids are step numbers and the ids shown with cut results"
        )
    return text


async def _inside(archive: Archive, id: str, path: str) -> str:
    """What a JSONPath selects in a result: the value where it is one, else a list."""
    text = _known(id, archive.result(_as_id(id)))
    if _PATTERNS.search(path):  # Python's `re` backtracks, and nothing could stop it
        raise InvalidArgumentsError("a path may not hold match() or search(); give a query instead")
    found: list[Any] = await in_daemon_thread(_select, {"text": text, "path": path, "id": id})
    return render_result(found[0] if len(found) == 1 else found)


def _select(text: str, path: str, id: str) -> list[Any]:
    import jsonpath_rfc9535

    try:
        return list(jsonpath_rfc9535.find(path, json.loads(text)).values())
    except jsonpath_rfc9535.JSONPathError as error:
        raise InvalidArgumentsError(f"the path {path!r} cannot be used: {one_line(str(error))}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentsError(f"the result {id!r} is not JSON: ask for it with start and length") from error


def _listed(query: str, passages: list[Passage], most: int) -> str:
    """The places that were found, a line each."""
    lines = [f"{_place(one)}: {_excerpt(one.text, query)}" for one in passages]
    while len(lines) > 1 and sum(map(len, lines)) > most:
        lines.pop()
    return "\n".join(lines) or f"nothing earlier mentions {query!r}"


def _place(passage: Passage) -> str:
    return f'id "{passage.id}"' + (f" start {passage.start}" if passage.start else "")


def _excerpt(text: str, query: str) -> str:
    """The part of a passage around the first word of the query."""
    lower = text.lower()
    places = [lower.find(word) for word in re.findall(r"\w+", query.lower()) if len(word) > 2]
    first = min((place for place in places if place >= 0), default=0)
    start = max(0, min(first - _EXCERPT // 3, len(text) - _EXCERPT))
    piece = one_line(text[start : start + _EXCERPT])
    return f"{'...' if start else ''}{piece}{'...' if start + _EXCERPT < len(text) else ''}"


def _cut(text: str, start: int, length: int) -> str:
    piece = text[start : start + length]
    end = start + len(piece)
    return piece if end >= len(text) else f"{piece}\n[characters {start}-{end} of {len(text)}; more with start={end}]"
