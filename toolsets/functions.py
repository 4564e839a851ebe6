"""Python functions as tools: types and docstring become the schema."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError

from deepagent.errors import InvalidArgumentsError, ToolDefinitionError
from deepagent.tools import Arguments, Effect, JsonSchema, Tool, ToolSpec

_DOC_SECTIONS = ("Args:", "Arguments:", "Parameters:", "Returns:", "Raises:", "Yields:", "Example:", "Examples:")


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *, name: str | None = None, effect: Effect = "unsafe", toolset: str = ""
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    effect: Effect = "unsafe",
    toolset: str = "",
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Turn a typed function, sync or async, into a tool; also a method, a partial, a class or an object that is called.

    The docstring is the description, its `Args:` section describes the parameters, the annotations are the schema.
    Arguments reach the function converted to their annotated types.

    Args:
        function: the function; omitted when used as `@tool(...)`.
        name: the tool's name; by default the function's.
        effect: what a call does to the world (see `deepagent.tools.Effect`).
        toolset: the source the tool is said to come from.

    Raises:
        ToolDefinitionError: a parameter is positional-only, variadic, or of a type that has no JSON Schema.
    """
    if function is None:
        return lambda wrapped: _from_function(wrapped, name, effect, toolset)
    return _from_function(function, name, effect, toolset)


def _from_function(function: Callable[..., Any], name: str | None, effect: Effect, toolset: str) -> Tool:
    name = name or _name_of(function)
    written = _written(function)
    description, notes = _read_docstring(inspect.getdoc(written) or "")
    model = _arguments_model(function, name, notes)
    try:
        schema = model.model_json_schema()
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        raise ToolDefinitionError(f"{name}: a parameter's type has no JSON Schema: {error}") from error
    schema.pop("title", None)
    for prop in schema.get("properties", {}).values():
        prop.pop("title", None)
    spec = ToolSpec(name=name, description=description, parameters=schema, effect=effect, toolset=toolset)

    async def invoke(arguments: Arguments) -> Any:
        try:
            values = model.model_validate(arguments)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
            raise InvalidArgumentsError(f"{problems}. Signature: {spec.signature}") from error
        given = {str(model.model_fields[field].alias): getattr(values, field) for field in values.model_fields_set}
        if inspect.iscoroutinefunction(written):
            return await function(**given)
        return await in_daemon_thread(function, given)

    return Tool(spec=spec, invoke=invoke, returns=lambda: _returns(written))


def tools_of(owner: object, *, toolset: str = "") -> list[Tool]:
    """The public methods of an object, a class or a module as tools; what was made by `@tool` is taken as it is.

    Args:
        owner: an object whose methods share its state, a class with static methods, or a module.
        toolset: the source that the tools are said to come from; by default the owner's name.

    Raises:
        ToolDefinitionError: a method cannot be a tool, or there is none.
    """
    called = getattr(owner, "__name__", type(owner).__name__)
    members = {name: getattr(owner, name) for name in dir(owner) if not name.startswith("_")}
    made = [member for member in members.values() if isinstance(member, Tool)]
    for name, member in members.items():
        needs_self = isinstance(owner, type) and inspect.isfunction(inspect.getattr_static(owner, name))
        foreign = inspect.ismodule(owner) and getattr(member, "__module__", None) != called
        if inspect.isroutine(member) and not needs_self and not foreign:
            made.append(_from_function(member, name, "unsafe", toolset or called))
    if not made:
        raise ToolDefinitionError(f"{called} has no public methods that can be tools")
    return made


def _name_of(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))


def _written(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where annotations and docstring stand: of a partial its function, of an object its `__call__`."""
    if isinstance(function, functools.partial):
        return _written(function.func)
    if isinstance(function, type):
        made: Callable[..., Any] = vars(function).get("__init__", function)
        return made
    return function if inspect.isroutine(function) else type(function).__call__


async def in_daemon_thread(function: Callable[..., Any], arguments: Arguments) -> Any:
    """Run a blocking function without blocking the loop.

    A thread cannot be killed: a hanging function would keep a pooled thread, and with it the process, alive for ever.
    A daemon thread of its own is merely left behind. It sees the context variables of the caller.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result: Any = None
        raised: Exception | None = None
        try:
            result = context.run(function, **arguments)
        except StopIteration as error:  # a future cannot carry it
            raised = RuntimeError(f"StopIteration: {error}")
        except BaseException as error:  # handed to the awaiting side, whatever it is
            raised = error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, result, raised)

    threading.Thread(target=work, daemon=True, name=f"tool-{getattr(function, '__name__', '?')}").start()
    return await future


def _arguments_model(function: Callable[..., Any], name: str, notes: dict[str, str]) -> type[BaseModel]:
    """A model whose fields are numbered, with the parameters' names as aliases: those may be `json` or `_x` too."""
    try:
        hints = get_type_hints(_written(function), include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, SyntaxError) as error:
        raise ToolDefinitionError(f"{name}: an annotation cannot be resolved: {error}") from error
    except (TypeError, ValueError) as error:
        raise ToolDefinitionError(f"{function!r} cannot be a tool: wrap it in a typed function ({error})") from error
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ToolDefinitionError(
                f"{name}: parameter {parameter.name!r} cannot be passed by name; give it an ordinary name and type"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        field = Field(default, alias=parameter.name, description=notes.get(parameter.name))
        fields[f"p{number}"] = (hints.get(parameter.name, Any), field)
    try:
        return create_model(
            f"{name}_arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields
        )
    except (PydanticUserError, PydanticSchemaGenerationError, NameError) as error:
        raise ToolDefinitionError(f"{name}: a parameter cannot be described: {error}") from error


def _returns(written: Callable[..., Any]) -> JsonSchema | None:
    """The schema of what a function says that it returns, where it says more than nothing and that has a schema."""
    kind = get_type_hints(written, include_extras=True).get("return", Any)
    try:
        return None if kind in (Any, type(None)) else TypeAdapter(kind).json_schema(mode="serialization")
    except (PydanticUserError, PydanticSchemaGenerationError):
        return None


def _read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into its description and its notes on parameters."""
    description: list[str] = []
    notes: dict[str, str] = {}
    section, current = "", ""
    for line in doc.splitlines():
        stripped = line.strip()
        if stripped in _DOC_SECTIONS:
            section = stripped
        elif not section:
            description.append(line)
        elif section in ("Args:", "Arguments:", "Parameters:") and stripped:
            head, colon, rest = stripped.partition(":")
            word = head.split("(")[0].strip()
            if colon and word.isidentifier() and len(line) - len(line.lstrip()) <= 4:
                current = word
                notes[current] = rest.strip()
            elif current:
                notes[current] += f" {stripped}"
    return "\n".join(description).strip(), notes
