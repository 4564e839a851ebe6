"""Tags whose calls are plain text: `<tool_call>tool_name, value, value</tool_call>`.

It is the text format that CodeAct (arXiv 2402.01030, section 2.2) compares JSON and code with: a name, then the values
in the order of the parameters. Unlike there, a value is read as its parameter's type, so that digits can be a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from deepagent.actions import Action, Call, Malformed
from deepagent.dialects.base import Abilities, Opening, Parsed
from deepagent.dialects.tags import TagsDialect
from deepagent.grammar import Grammar
from deepagent.tools import ToolSpec
from deepagent.transcript import Message

_JSON_CALL = re.compile(r"<tool_call>(\{.*?\})</tool_call>", re.DOTALL)
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_BEGUN = "<tool_call>"


class TextDialect(TagsDialect):
    """The dialect.

    Args:
        abilities: the actions that the run allows.
    """

    def __init__(self, abilities: Abilities) -> None:
        super().__init__(abilities)
        self._specs: dict[str, ToolSpec] = {}

    def opening(self, task: str, shown: Sequence[ToolSpec], built_in: Sequence[ToolSpec]) -> Opening:
        """See `Dialect.opening`. What is told of calls, and the example, are spelled as text."""
        self._learn([*shown, *built_in])
        *told, asked = super().opening(task, shown, built_in).messages
        return Opening((*(_respelled(message) for message in told), asked))

    def grammar(self, tools: Sequence[ToolSpec]) -> Grammar | None:
        """None; but it learns in which order the tools within reach take their values."""
        self._learn(tools)
        return None

    def _learn(self, tools: Sequence[ToolSpec]) -> None:
        self._specs |= {tool.name: tool for tool in tools}

    def parse(
        self, text: str, finish: Literal["stop", "length", "watch"], message: Message | None = None
    ) -> Parsed | None:
        """See `Dialect.parse`."""
        parsed = super().parse(text, finish, message)
        if parsed is None:
            return None
        if parsed.resume.startswith(_BEGUN):
            parsed = replace(parsed, resume=_BEGUN)
        found = _CALL.search(text)
        cut = finish == "length" and found is not None and not found.group().endswith("</tool_call>")
        if found is None or cut or parsed.thought != text[: found.start()].strip():
            return parsed  # another action came first, or none was finished
        return replace(parsed, action=self._read(found.group(1)))

    def push(self, action: Action) -> str:
        """See `Dialect.push`."""
        return _BEGUN if super().push(action).startswith(_BEGUN) else ""

    def _read(self, body: str) -> Action:
        name, *values = (part.strip() for part in body.strip().split(","))
        spec = self._specs.get(name)
        if not name:
            return Malformed(problem="a call needs a tool's name, then its values")
        if spec is None:
            return Call(name=name, arguments={})  # the performer knows what to say of it
        return _with_values(spec, values)


def _with_values(spec: ToolSpec, values: list[str]) -> Action:
    """Values by the order of the parameters; a last one that is a list or an object takes all the rest."""
    properties: dict[str, Any] = spec.parameters.get("properties", {})
    arguments: dict[str, Any] = {}
    names = list(properties)
    for number, name in enumerate(names):
        rest = values[number:]
        if not rest:
            break
        last, schema = number == len(names) - 1, properties[name]
        kind = schema.get("type") if isinstance(schema, dict) else None
        if last and kind == "array":
            arguments[name] = [_value(one, None) for one in rest]
        elif last and kind == "object" and len(rest) % 2 == 0:
            arguments[name] = dict(zip(rest[::2], (_value(one, None) for one in rest[1::2]), strict=True))
        elif last and len(rest) > 1 and kind == "string":
            arguments[name] = ", ".join(rest)  # a text may hold commas where nothing follows it
        elif last and len(rest) > 1:
            return Malformed(problem=f"{spec.name} takes {len(names)} values, and {len(values)} were given")
        else:
            arguments[name] = _value(rest[0], kind)
    if values and not names and values != [""]:
        return Malformed(problem=f"{spec.name} takes no values")
    return Call(name=spec.name, arguments=arguments)


def _value(text: str, kind: Any) -> Any:
    """A value as its parameter's type; as a number where it reads as one and the type is not known."""
    plain = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    if kind == "string":
        return plain
    if kind == "boolean" and plain.lower() in ("true", "false"):
        return plain.lower() == "true"
    if kind in (None, "integer", "number") and re.fullmatch(r"[-+]?\d{1,300}", plain):
        return int(plain)
    if kind in (None, "number") and re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d{1,3})?", plain):
        return float(plain)
    return plain


def _respelled(message: Message) -> Message:
    """A message with its calls spelled as text."""

    def spelled(found: re.Match[str]) -> str:
        call = json.loads(found.group(1))
        return f"<tool_call>{', '.join([call['name'], *map(str, call['arguments'].values())])}</tool_call>"

    return message.model_copy(update={"content": _JSON_CALL.sub(spelled, message.content)})
