"""The built-in tool `recall`: exact text of any earlier step or stored result, so that folding loses nothing."""

from __future__ import annotations

import re

from deepagent.errors import InvalidArgumentsError
from deepagent.memory.ledger import shorten
from deepagent.memory.render import render_step
from deepagent.runs.steps import steps
from deepagent.runs.store import RunLog
from deepagent.tools import Arguments, Tool, ToolSpec

_LENGTH = 2000
_HITS = 8

RECALL = "recall"
SPEC = ToolSpec(
    name=RECALL,
    description="Exact text of an earlier step or stored result of this run by id, or the steps that mention a text.",
    parameters={
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": 'a step ("3") or a stored result ("r3")'},
            "query": {"type": "string", "description": "words to look for instead"},
            "start": {"type": "integer", "description": "first character to show", "minimum": 0, "default": 0},
            "length": {"type": "integer", "description": "how many", "minimum": 1},
        },
    },
    toolset="built-in",
    effect="pure",
)


def recall_tool(log: RunLog, *, length: int = _LENGTH) -> Tool:
    """The tool over one run's log; `length` is how many characters it shows at a time."""
    most = length

    async def invoke(arguments: Arguments) -> str:
        start = int(arguments.get("start", 0))
        length = min(most, int(arguments.get("length", most)))
        if arguments.get("id"):
            return _cut(_exact(log, str(arguments["id"])), start, length)
        if arguments.get("query"):
            return _find(log, str(arguments["query"]))
        raise InvalidArgumentsError('give an id (a step such as "3", a stored result such as "r3") or a query')

    return Tool(spec=SPEC, invoke=invoke)


def _exact(log: RunLog, id: str) -> str:
    artifact = log.artifact(id)
    if artifact is not None:
        return artifact
    number = re.fullmatch(r"(?:step\s*)?(\d+)", id.strip(), re.IGNORECASE)
    if number:
        for step in steps(log.events):
            if step.number == int(number.group(1)):
                return render_step(step)
    raise InvalidArgumentsError(
        f"nothing is stored under {id!r}; ids are step numbers and the ids shown with cut results"
    )


def _find(log: RunLog, query: str) -> str:
    words = [word for word in re.findall(r"\w+", query.lower()) if word]
    scored = []
    for step in steps(log.events):
        if step.observation is None:
            continue  # the step that asks
        text = render_step(step).lower()
        score = sum(word in text for word in words)
        if score:
            scored.append((-score, -step.number, step))
    if not scored:
        return f"no earlier step mentions {query!r}"
    return "\n".join(f'id "{step.number}": {shorten(render_step(step), 200)}' for _, _, step in sorted(scored)[:_HITS])


def _cut(text: str, start: int, length: int) -> str:
    piece = text[start : start + length]
    end = start + len(piece)
    return piece if end >= len(text) else f"{piece}\n[characters {start}-{end} of {len(text)}; more with start={end}]"
