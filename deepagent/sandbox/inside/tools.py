"""The run's tools as Python functions."""

from __future__ import annotations

import keyword

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as half of the interpreter
    from collections.abc import Callable
    from typing import Any

    from deepagent.sandbox.inside.channel import Channel, Frame

LARGEST_CALL = 4 * 2**20
"""Characters of JSON; escaped text cannot pass the host's frame limit below this."""
DEEPEST_CALL = 150
"""Levels of lists and dicts; the host's JSON reader takes 200."""


class ToolError(Exception):
    """A tool refused or failed; the message says what to do."""

    __module__ = "builtins"  # so that tracebacks show the bare name


def make_function(tool: Frame, channel: Channel) -> Callable[..., Any]:
    """A tool as a function. Its attribute `aio` is the same as a coroutine function, for `asyncio.gather`."""
    name, identifier = tool["name"], tool["identifier"]
    parameters = {parameter["name"]: parameter for parameter in tool["parameters"]}

    def request(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Frame:
        if channel.closed:
            raise ToolError("tools cannot be called from a forked process; call them in the cell itself")
        return {"name": name, "arguments": _as_host_reads(name, _arguments(identifier, parameters, args, kwargs))}

    def call(*args: Any, **kwargs: Any) -> Any:
        return _value(channel.call(**request(args, kwargs)))

    async def aio(*args: Any, **kwargs: Any) -> Any:
        return _value(await channel.call_later(**request(args, kwargs)))

    functions: list[Any] = [call, aio]
    for function, spelled in zip(functions, (identifier, f"{identifier}.aio"), strict=True):
        function.__name__ = function.__qualname__ = spelled
        function.__module__ = "tools"
        function.__doc__ = tool["doc"]
        function.__signature__ = signature(tool["parameters"])
    functions[0].aio = aio
    return call


def signature(parameters: list[Frame]) -> Any:
    """The signature of a tool; what is no Python name is passed as **{"the-name": ...}."""
    import inspect  # takes longer to import than all the rest: only where there are tools

    names = {one["name"] for one in parameters if one["name"].isidentifier() and not keyword.iskeyword(one["name"])}
    known = []
    for parameter in parameters:
        default = inspect.Parameter.empty if parameter["required"] else parameter["default"]
        if parameter["name"] in names:
            known.append(inspect.Parameter(parameter["name"], inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))
    if len(known) < len(parameters):
        rest = "arguments"
        while rest in names:
            rest += "_"
        known.append(inspect.Parameter(rest, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(known)


def _arguments(
    identifier: str, parameters: dict[str, Frame], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    if len(args) > len(parameters):
        raise TypeError(f"{identifier}() takes at most {len(parameters)} arguments, {len(args)} were given")
    arguments = dict(zip(parameters, args, strict=False))
    for twice in arguments.keys() & kwargs.keys():
        raise TypeError(f"{identifier}() got two values for argument {twice!r}")
    arguments |= kwargs
    # None stands in the signature for an optional argument without a default.
    return {
        key: given
        for key, given in arguments.items()
        if not (given is None and key in parameters and parameters[key]["omit_none"])
    }


def _as_host_reads(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON has them: whole pairs of surrogates are one character, and halves become question marks."""
    import json

    try:
        text = json.dumps(arguments, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise ToolError(f"the arguments of {name} cannot be written as JSON ({_why(error)}); pass plain data") from None
    if len(text) > LARGEST_CALL:
        raise ToolError(f"the arguments of {name} are too large; pass less at a time")
    joined = json.loads(text)
    if _is_deeper(joined, DEEPEST_CALL):
        raise ToolError(f"the arguments of {name} are nested too deeply; pass them flat")
    read: dict[str, Any] = json.loads(json.dumps(joined, ensure_ascii=False).encode("utf-8", "replace"))
    return read


def _why(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and dicts stand in one another at more than so many levels."""
    if not isinstance(value, (list, dict)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_is_deeper(one, levels - 1) for one in inner)


def _value(result: Frame) -> Any:
    if result["error"] is not None:
        raise ToolError(result["error"])
    return result["value"]
