"""Calls held to the schemas of the tools within reach.

Schemas come from anywhere, and grammar compilers choke on what they seldom see. So a grammar is made of the plain part
of a schema: types, choices, fields. What it lets through is checked against the whole schema all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deepagent.grammar import Grammar, HeldTag
from deepagent.tools import JsonSchema, ToolSpec

_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_DEPTH = 5
_FIELDS = 100
_CHOICES = 100
_SCHEMA_CHARS = 20_000
"""What a grammar takes of one schema; beyond it a value is only held to be JSON."""
_MOST_TOOLS = 60


def held_calls(begin: str, end: str, tools: Sequence[ToolSpec]) -> Grammar | None:
    """A grammar for calls `{"name": ..., "arguments": {...}}` between two tags; None for no tools, or too many."""
    if not tools or len(tools) > _MOST_TOOLS:
        return None
    calls = [_call(spec) for spec in tools]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return Grammar(tags=(HeldTag(begin=begin, schema_=schema, end=end),))


def _call(spec: ToolSpec) -> JsonSchema:
    arguments = _plain(spec.parameters | {"type": "object"}, _DEPTH)
    if len(json.dumps(arguments)) > _SCHEMA_CHARS:
        arguments = {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"enum": sorted({spec.name, spec.identifier})}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _plain(schema: Any, depth: int) -> JsonSchema:
    """The part of a schema that every grammar compiler knows."""
    if not isinstance(schema, dict) or not depth:
        return {}
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(choices, list) and 0 < len(choices) <= _CHOICES and all(map(_is_scalar, choices)):
        return {"enum": choices}
    options = schema.get("anyOf", schema.get("oneOf"))
    kind = schema.get("type")
    if isinstance(kind, list):
        options = [{**schema, "type": one} for one in kind]
    if isinstance(options, list):
        return {"anyOf": [_plain(option, depth - 1) for option in options[:_CHOICES]]} if options else {}
    if not isinstance(kind, str) or kind not in _TYPES:
        return {}
    if kind == "array":
        return {"type": "array", "items": _plain(schema.get("items"), depth - 1)}
    return _object(schema, depth) if kind == "object" else {"type": kind}


def _object(schema: JsonSchema, depth: int) -> JsonSchema:
    fields, required = schema.get("properties"), schema.get("required")
    if not isinstance(fields, dict) or len(fields) > _FIELDS:
        return {"type": "object"}
    held: JsonSchema = {"type": "object", "properties": {str(k): _plain(v, depth - 1) for k, v in fields.items()}}
    if isinstance(required, list):
        held["required"] = [name for name in fields if name in required]
    return held | {"additionalProperties": bool(schema.get("additionalProperties", False))}


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
