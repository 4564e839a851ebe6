"""Tools that are described by JSON Schemas or pydantic models, and called through one function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from deepagent.errors import InvalidArgumentsError, ToolDefinitionError
from deepagent.settings import validate
from deepagent.tools import Arguments, Effect, Tool, ToolSpec
from deepagent.toolsets.base import ToolList
from deepagent.toolsets.functions import in_daemon_thread

Caller = Callable[[str, Arguments], Any | Awaitable[Any]]
"""Called with a tool's name and arguments that fit its schema; sync or async."""


class SchemaTools(ToolList):
    """A toolset of descriptions with one caller for all of them.

    Args:
        name: of the toolset.
        specs: `ToolSpec`s, or objects with `name`, `description` and `parameters` (also as `input_schema`, or wrapped
            as in the function lists of chat APIs).
        call: performs every call.

    Raises:
        ToolDefinitionError: a description is none, or two have one name.
    """

    def __init__(self, name: str, specs: Iterable[ToolSpec | Mapping[str, Any]], call: Caller) -> None:
        read = [_spec(one, name) for one in specs]
        if len({spec.name for spec in read}) < len(read):
            raise ToolDefinitionError(f"{name}: two tools have one name; rename one of them")
        super().__init__(name, (Tool(spec=spec, invoke=_calling(spec.name, call)) for spec in read))


def model_tool(
    model: type[BaseModel], call: Callable[[Any], Any], *, name: str | None = None, effect: Effect = "unsafe"
) -> Tool:
    """A tool whose arguments are the fields of a pydantic model; the model's docstring is the description.

    Args:
        model: what the arguments must be.
        call: takes the validated model; sync or async.
        name: the tool's name; by default the model's.
        effect: what a call does to the world.
    """
    schema = model.model_json_schema()
    description = str(schema.pop("description", "") or "")
    schema.pop("title", None)
    called = name or model.__name__
    spec = ToolSpec(name=called, description=description, parameters=schema, effect=effect)

    async def invoke(arguments: Arguments) -> Any:
        try:
            value = model.model_validate(arguments)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise InvalidArgumentsError(f"{problems}. Signature: {spec.signature}") from error
        return await _settled(call, value)

    return Tool(spec=spec, invoke=invoke)


def _calling(name: str, call: Caller) -> Callable[[Arguments], Awaitable[Any]]:
    async def invoke(arguments: Arguments) -> Any:
        return await _settled(call, name, arguments)

    return invoke


async def _settled(call: Callable[..., Any], *values: Any) -> Any:
    """What a call gives; a blocking one does not block the loop."""
    if inspect.iscoroutinefunction(call):
        return await call(*values)
    made = await in_daemon_thread(lambda: call(*values), {})
    return await made if inspect.isawaitable(made) else made


def _spec(given: ToolSpec | Mapping[str, Any], toolset: str) -> ToolSpec:
    if isinstance(given, ToolSpec):
        return given if given.toolset else given.model_copy(update={"toolset": toolset})
    data = given.get("function", given)
    if not isinstance(data, Mapping):
        raise ToolDefinitionError(f"{toolset}: {str(given)[:80]!r} describes no tool")
    schema = data.get("parameters") or data.get("input_schema") or data.get("inputSchema")
    fields = {key: data[key] for key in ("name", "description", "effect") if data.get(key) is not None}
    if schema is not None:
        fields["parameters"] = _standard(schema)
    return validate({**fields, "toolset": toolset}, ToolSpec, where=f"tool {fields.get('name', '?')!r} of {toolset}")


_TYPES = {
    "dict": "object",
    "float": "number",
    "double": "number",
    "int": "integer",
    "long": "integer",
    "str": "string",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "set": "array",
}
"""How catalogues that were made from code name the types of JSON."""

_VALUES = ("enum", "const", "default", "examples")
"""Where a schema quotes values, which are no schemas."""


def _standard(schema: Any, depth: int = 50) -> Any:
    """The schema with the types of JSON, and none where a catalogue says that anything goes."""
    if isinstance(schema, list):
        return [_standard(one, depth - 1) for one in schema]
    if not isinstance(schema, Mapping) or not depth:
        return schema
    made = {key: value if key in _VALUES else _standard(value, depth - 1) for key, value in schema.items()}
    kind = made.get("type")
    if isinstance(kind, str):
        made["type"] = _TYPES.get(kind.lower(), kind)
        if kind.lower() == "any":
            del made["type"]
    return made
