"""Schemas of OpenAPI as JSON Schema of today, small enough for a tool.

What is no sound JSON Schema is left out rather than refused: an open schema lets a call through, and the server judges.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from deepagent.errors import ToolDefinitionError
from deepagent.tools import JsonSchema
from deepagent.toolsets.openapi.document import Part

_MAX_NODES = 500
_MAX_DEPTH = 24
_MAX_ENUM = 200
_MAX_TEXT = 1000
"""What one tool's schema holds at most. Some APIs describe everything they have in one circle of references."""

_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_SOUND: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _is_count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("format", "pattern", "contentEncoding", "contentMediaType"), _is_text),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "uniqueItems": lambda value: isinstance(value, bool),
    "enum": lambda value: isinstance(value, list) and 0 < len(value) <= _MAX_ENUM,
}
_COMBINED = ("allOf", "anyOf", "oneOf")


class Definitions:
    """What the operations of one document refer to: named and written once, and shared by their schemas."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        """By identity of what is referred to: it is the same object wherever it is referred to from."""
        self.written: dict[str, tuple[JsonSchema, int, list[tuple[str, Part]]]] = {}
        """The schema of each, its number of nodes, and what it refers to in turn."""
        self._taken: set[str] = set()

    def name(self, target: Part, reference: str) -> str:
        """The name of what a reference leads to."""
        key = id(target.value)
        if key not in self.names:
            words = re.sub(r"\W+", "_", reference.rpartition("/")[2])[:60] or "schema"
            name, number = words, 2
            while name in self._taken:
                name, number = f"{words}_{number}", number + 1
            self._taken.add(name)
            self.names[key] = name
        return self.names[key]


class SchemaWriter:
    """Writes the parameters of one tool.

    Args:
        version: of the document: `3.0` or `3.1`.
        shared: the document's definitions.
    """

    def __init__(self, version: str, shared: Definitions | None = None) -> None:
        self._old = version == "3.0"
        self._shared = shared or Definitions()
        self._found: list[tuple[str, Part]] = []
        self._nodes = 0

    def write(self, arguments: Mapping[str, tuple[Part, str]], required: list[str]) -> JsonSchema:
        """The schema of an object.

        Args:
            arguments: schema and description of each argument.
            required: names of those that must be given.
        """
        properties: dict[str, JsonSchema] = {}
        for name, (schema, note) in arguments.items():
            made = self._opened(schema)
            properties[name] = made | ({"description": note[:_MAX_TEXT]} if note else {})
        whole = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        definitions: dict[str, JsonSchema] = {}
        queue, total = deque(self._found), self._nodes
        while queue:
            name, part = queue.popleft()  # the nearest first: they matter most
            if name in definitions:
                continue
            if total > _MAX_NODES:
                definitions[name] = {}
                continue
            definitions[name], nodes, further = self._definition(name, part)
            total += nodes
            queue.extend(further)
        return whole | ({"$defs": definitions} if definitions else {})

    def _definition(self, name: str, part: Part) -> tuple[JsonSchema, int, list[tuple[str, Part]]]:
        if name not in self._shared.written:
            self._nodes, self._found = 0, []
            self._shared.written[name] = self._write(part, 0), self._nodes, self._found
        return self._shared.written[name]

    def _opened(self, part: Part) -> JsonSchema:
        """An argument's schema with its own fields in sight, as a tool card shows them: no reference, no allOf."""
        try:
            part = part.followed()
        except ToolDefinitionError:
            return {}
        members = list(part.at("allOf").each())
        if not members or len(members) > 20:
            return self._write(part, 0)
        whole: JsonSchema = {"type": "object", "properties": {}, "required": []}
        own = part.within({key: value for key, value in part.value.items() if key != "allOf"})
        for member in [*members, own]:
            try:
                made = self._write(member.followed(), 0)
            except ToolDefinitionError:
                continue
            if set(made) - {"type", "properties", "required", "description"} or made.get("type", "object") != "object":
                return self._write(part, 0)  # more than fields: left as it was said
            whole["properties"] |= made.get("properties", {})
            whole["required"] = list(dict.fromkeys([*whole["required"], *made.get("required", [])]))
        return whole

    def _write(self, part: Part, depth: int) -> JsonSchema:
        raw = part.value
        self._nodes += 1
        if not isinstance(raw, dict) or depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            return {}
        if isinstance(raw.get("$ref"), str):
            return self._reference(part, depth)
        made: JsonSchema = {key: raw[key] for key, sound in _SOUND.items() if key in raw and sound(raw[key])}
        kind = _kind(raw.get("type"))
        if kind:
            made["type"] = kind
        for key in _COMBINED:
            options = [self._write(one, depth + 1) for one in part.at(key).each()]
            if options:
                made[key] = options
        self._write_inner(part, made, depth)
        if isinstance(raw.get("description"), str):
            made["description"] = raw["description"][:_MAX_TEXT]
        if "default" in raw and _is_small(raw["default"]):
            made["default"] = raw["default"]
        if not self._old and "const" in raw:
            made["const"] = raw["const"]
        return self._as_of_old(raw, made) if self._old else made

    def _write_inner(self, part: Part, made: JsonSchema, depth: int) -> None:
        raw = part.value
        properties = {key: one for key, one in part.at("properties").items() if not _is_read_only(one)}
        if properties:
            made["properties"] = {key: self._write(one, depth + 1) for key, one in properties.items()}
        needed = raw.get("required")
        if isinstance(needed, list):
            hidden = {key for key, one in part.at("properties").items() if _is_read_only(one)}
            made["required"] = list(dict.fromkeys(one for one in needed if _is_text(one) and one not in hidden))
        for key in ("items", "additionalProperties", "not"):
            if isinstance(raw.get(key), dict):
                made[key] = self._write(part.at(key), depth + 1)
        if isinstance(raw.get("additionalProperties"), bool):
            made["additionalProperties"] = raw["additionalProperties"]
        prefix = [self._write(one, depth + 1) for one in part.at("prefixItems").each()]
        if prefix and not self._old:
            made["prefixItems"] = prefix

    def _reference(self, part: Part, depth: int) -> JsonSchema:
        try:
            target = part.followed()
        except ToolDefinitionError:
            return {}
        name = self._shared.name(target, part.value["$ref"])
        self._found.append((name, target))
        made: JsonSchema = {"$ref": f"#/$defs/{name}"}
        if self._old:
            return {"anyOf": [made, {"type": "null"}]} if part.value.get("nullable") is True else made
        beside = {key: value for key, value in part.value.items() if key != "$ref"}
        return self._write(part.within(beside), depth + 1) | made

    @staticmethod
    def _as_of_old(raw: dict[str, Any], made: JsonSchema) -> JsonSchema:
        """3.0 and before say `nullable`, and give exclusive limits as flags."""
        for flag, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if raw.get(flag) is True and limit in made:
                made[flag] = made.pop(limit)
            elif flag in made:
                del made[flag]
        if raw.get("nullable") is not True and raw.get("x-nullable") is not True:
            return made
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        if "type" in made:
            kinds = made["type"] if isinstance(made["type"], list) else [made["type"]]
            return {**made, "type": [*kinds, *([] if "null" in kinds else ["null"])]}
        return {"anyOf": [made, {"type": "null"}]} if any(key in made for key in _COMBINED) else made


def _kind(told: Any) -> str | list[str] | None:
    if told == "file":
        return "string"
    if isinstance(told, list):
        return [one for one in told if one in _TYPES] or None
    return told if isinstance(told, str) and told in _TYPES else None


def _is_read_only(part: Part) -> bool:
    return isinstance(part.value, dict) and part.value.get("readOnly") is True


def _is_small(value: Any) -> bool:
    try:
        return len(json.dumps(value)) <= _MAX_TEXT
    except (TypeError, ValueError, RecursionError):
        return False
