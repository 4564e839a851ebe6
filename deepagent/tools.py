"""What a tool is: a described, schema-checked callable.

A `ToolSpec` is what can be indexed, printed and sent to a model; a `Tool` is a spec that can also be called.
Where tools come from is the business of `deepagent.toolsets`.
"""

from __future__ import annotations

import functools
import itertools
import json
import keyword
import math
import re
import reprlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import Field

from deepagent.actions import Frozen
from deepagent.errors import InvalidArgumentsError, ToolFailedError

_CARD_CHARS = 240
_NOTE_CHARS = 120
"""How much of a description a card shows, of a tool and of a parameter: prompts cost time, the first words say most."""

_SIGNATURE_CHARS = 1500
_FIELDS_CHARS = 600
_NOTES_CHARS = 1500
_OPTIONAL_SHOWN = 20
_TYPE_DEPTH = 4
_LITERAL_CHARS = 60
"""What a card shows at most of all parameters together, of one parameter's fields and of all notes; some operations
have hundreds of parameters, and a prompt has room for several cards."""

_REASON_CHARS = 300
_CHECK_SECONDS = 1.0
_MOST_VIOLATIONS = 50
_LONGEST = 10_000
"""Characters of any foreign text that are looked at; catalogues hold descriptions of a megabyte."""

Effect = Literal["pure", "idempotent", "unsafe"]
"""What a call does to the world: nothing; the same when repeated; something that must not be repeated unasked."""


class RunFiles(Protocol):
    """The files of a run, for tools that read or make some."""

    def names(self) -> Iterable[str]:
        """What was attached to the task, and what tools kept."""
        ...

    def read(self, name: str) -> bytes | None:
        """The content of one of these, or of a file that code left in its workspace; None where there is none.

        Raises:
            ToolFailedError: it is there and cannot be read.
        """
        ...

    def keep(self, name: str, data: bytes) -> str:
        """Keep a file that a tool made or fetched. Returns the name that it got, which may be another one."""
        ...


FILES: ContextVar[RunFiles | None] = ContextVar("files", default=None)
"""The files of the run that a tool is called in; None outside of runs."""

RUN: ContextVar[str] = ContextVar("run", default="")
"""Id of the run that a tool is called in, for tools that keep a state for each; empty outside of runs."""

JsonSchema = dict[str, Any]
Arguments = dict[str, Any]

_DIALECT_KEYWORDS = frozenset({"$schema", "$dynamicAnchor", "$recursiveAnchor"})
_until: ContextVar[float] = ContextVar("until")
"""When the check of arguments that is running has to end, in processor time: a busy machine must not let calls pass."""

_PYTHON_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "null": "None",
}


class _EndlessCheckError(Exception):
    """Checking arguments takes too long."""


class ToolSpec(Frozen):
    """A tool as described to the model and to the index.

    Attributes:
        name: unique within a run.
        description: what it does, for the model and for search.
        parameters: JSON Schema of an object.
        toolset: the named source that the tool comes from; part of the text that search sees.
        effect: decides what resume may repeat and what needs approval.
    """

    name: str = Field(min_length=1)
    description: str = ""
    parameters: JsonSchema = Field(default_factory=lambda: {"type": "object", "properties": {}})
    toolset: str = ""
    effect: Effect = "unsafe"

    @property
    def identifier(self) -> str:
        """The name as a Python identifier: what the tool is called inside the sandbox."""
        safe = re.sub(r"\W", "_", self.name)
        return f"_{safe}" if not safe or safe[0].isdigit() or keyword.iskeyword(safe) else safe

    @property
    def signature(self) -> str:
        """The tool as a Python signature, required parameters first; `...` stands for what is too much to show."""
        properties, required = self.properties, self.required
        parts = [f"{name}: {_python_type(properties[name])}" for name in required]
        optional = [
            f"{name}: {_python_type(schema)} = {_literal(schema.get('default'))}"
            for name, schema in properties.items()
            if name not in required
        ]
        parts += optional[:_OPTIONAL_SHOWN]
        if len(optional) > _OPTIONAL_SHOWN:
            parts.append("...")
        return well_formed(f"{self.identifier}({', '.join(_as_many(parts, _SIGNATURE_CHARS))})")

    @property
    def properties(self) -> dict[str, JsonSchema]:
        """The schema of each parameter. Schemas may come from anywhere, so what is no schema reads as an open one."""
        found = self.parameters.get("properties")
        if not isinstance(found, dict):
            return {}
        return {str(name): schema if isinstance(schema, dict) else {} for name, schema in found.items()}

    @property
    def required(self) -> list[str]:
        """Names of the parameters that must be given."""
        found = self.parameters.get("required")
        return [name for name in self.properties if isinstance(found, list) and name in found]

    @property
    def card(self) -> str:
        """The tool card: signature, description and what is known of each parameter."""
        notes = []
        for name, schema in self.properties.items():
            told = schema.get("description")
            note = _shorten(_one_line(told), _NOTE_CHARS) if isinstance(told, str) else ""
            inner = _inner_fields(schema)
            if note or inner:
                notes.append(f"{name}: {note}{inner}")
        lines = [_shorten(_one_line(self.description), _CARD_CHARS), *_as_many(notes, _NOTES_CHARS)]
        return well_formed("\n    ".join([self.signature, *lines]))


@dataclass(frozen=True)
class Tool:
    """A tool that can be called.

    Args:
        spec: its description.
        invoke: takes arguments that fit the schema; may raise anything, which becomes a `ToolFailedError`.
        preview: what a call would send, in words, without sending it; None where a call sends nothing.
        simulated: whether its results are made up; the log says so of each.
        returns: gives the JSON Schema of results where the source tells one; what plays the tool keeps to it.
    """

    spec: ToolSpec
    invoke: Callable[[Arguments], Awaitable[Any]]
    preview: Callable[[Arguments], Awaitable[str]] | None = None
    simulated: bool = False
    returns: Callable[[], JsonSchema | None] = lambda: None

    @property
    def name(self) -> str:
        """The name under which the model calls it."""
        return self.spec.name


def check_arguments(spec: ToolSpec, arguments: Mapping[str, Any]) -> Arguments:
    """Return the arguments if they fit the tool's schema.

    Numbers and booleans that arrive as text are accepted, as small models often quote them. None for an optional
    parameter means that it is not given, as its signature says.

    A schema that takes longer than a second of processor time to check against, such as one whose references double at
    every level, is given up: what was not found by then is for the tool to find.

    Raises:
        InvalidArgumentsError: with the violations in words and the signature.
        ToolFailedError: the schema itself cannot be used.
    """
    properties = spec.properties
    checked = {
        name: _unquote(value, properties.get(name))
        for name, value in arguments.items()
        if not (value is None and name not in spec.required and _forbids_null(properties.get(name)))
    }
    unknown = sorted(set(checked) - set(properties))
    closed = "properties" in spec.parameters and not spec.parameters.get("additionalProperties", False)
    try:
        problems = violations(spec.parameters, checked)
    except ValueError as error:
        raise ToolFailedError(f"the schema of {spec.name} cannot be used ({error}); take another tool") from error
    if unknown and closed:
        problems.append(f"unknown argument{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}")
    if problems:
        raise InvalidArgumentsError(f"{'; '.join(dict.fromkeys(problems))}. Signature: {spec.signature}")
    return checked


def violations(schema: JsonSchema, value: Any) -> list[str]:
    """Where a value breaks a foreign schema, in words; checking ends after a second with what was found.

    Raises:
        ValueError: the schema cannot be used, and why.
    """
    from referencing import Registry

    found: list[str] = []
    _until.set(time.thread_time() + _CHECK_SECONDS)
    try:
        # An empty registry: a $ref to another host is never fetched.
        validator = _validator_class()(_in_our_dialect(schema), registry=Registry())
        for error in itertools.islice(validator.iter_errors(value), _MOST_VIOLATIONS):
            found.append(_violation(error))
    except _EndlessCheckError:
        pass
    except Exception as error:  # what is wrong with the schema comes out as an error of any type
        raise ValueError(_reason(error)) from error
    return found


def render_result(value: Any) -> str:
    """A tool's result as the text that the model reads: text as it is, everything else as JSON where it can be."""
    if isinstance(value, str):
        return well_formed(value)
    try:
        return well_formed(json.dumps(value, ensure_ascii=False, default=_jsonable))
    except (ValueError, TypeError, RecursionError):
        return well_formed(repr(value))


def well_formed(text: str) -> str:
    """Text without lone surrogates, which neither a log nor a server can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _jsonable(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return str(value)


@functools.cache
def _validator_class() -> Any:
    """JSON Schema without regular expressions, and with an end.

    Python's `re` backtracks and holds the interpreter while it does: a foreign pattern such as `^(a+)+$` would stop
    the whole process, and no time limit could end it. The tool itself will say what a pattern would have said.
    """
    import jsonschema

    standard = jsonschema.Draft202012Validator

    def additional(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if "patternProperties" not in schema:  # whose patterns it would match against names
            yield from standard.VALIDATORS["additionalProperties"](validator, allowed, instance, schema)

    def unchecked(*_: Any) -> tuple[()]:
        return ()

    def timed(check: Any) -> Any:
        def checked(*given: Any) -> Any:
            if time.thread_time() > _until.get():
                raise _EndlessCheckError
            return check(*given)

        return checked

    unsafe = ("pattern", "patternProperties", "unevaluatedProperties")
    checks = {**standard.VALIDATORS, **dict.fromkeys(unsafe, unchecked), "additionalProperties": additional}
    extend: Any = jsonschema.validators.extend  # it has no types
    return extend(standard, {keyword: timed(check) for keyword, check in checks.items()})


def _in_our_dialect(schema: Any) -> Any:
    """The schema without what would bring another dialect, with patterns, back into any part of it."""
    if isinstance(schema, dict):
        return {
            key: _in_our_dialect(value)
            for key, value in schema.items()
            if key not in _DIALECT_KEYWORDS or isinstance(value, dict)  # a dict: a parameter of that name
        }
    return [_in_our_dialect(one) for one in schema] if isinstance(schema, list) else schema


def told(error: Exception) -> str:
    """A foreign error's kind and text; the kind alone where its text cannot be had."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # its __str__ raises, or quotes something nested too deeply
        return type(error).__name__


def _reason(error: Exception) -> str:
    return well_formed(_shorten(_one_line(told(error)), _REASON_CHARS))


def _violation(error: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    message = _one_line(_wrong_kind(error) or str(error.message))[:_REASON_CHARS]
    return well_formed(f"{where}: {message}" if where else message)


def _wrong_kind(error: Any) -> str | None:
    """What is said of a whole object or list where one value is wanted: which ones it holds, instead of all of it."""
    value = error.instance
    if error.validator != "type" or not isinstance(value, (dict, list)) or not value:
        return None
    of = f"an object with {', '.join(map(repr, value))}" if isinstance(value, dict) else f"a list of {len(value)}"
    return f"{of} is not of type {error.validator_value!r}; give what is inside"


def _forbids_null(schema: JsonSchema | None) -> bool:
    kind = schema.get("type") if schema else None
    return kind != "null" and isinstance(kind, str)


def _unquote(value: Any, schema: Any) -> Any:
    """Turn '5' into 5 and 'true' into True where the schema wants a number or boolean and forbids text."""
    if not isinstance(value, str) or not isinstance(schema, dict):
        return value
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "string" in kinds or not any(one in kinds for one in ("integer", "number", "boolean")):
        return value
    try:
        parsed = json.loads(value.lower() if value in ("True", "False") else value)
    except (ValueError, RecursionError):
        return value
    if isinstance(parsed, float) and not math.isfinite(parsed):
        return value
    return parsed if isinstance(parsed, (int, float)) else value


def _python_type(schema: Any, depth: int = _TYPE_DEPTH) -> str:
    if not isinstance(schema, dict) or not depth:
        return "Any"
    choices = schema.get("enum")
    if isinstance(choices, list):
        return "|".join(_literal(choice) for choice in choices[:12]) + ("|..." if len(choices) > 12 else "")
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_python_type({**schema, "type": one}, depth - 1) for one in kind[:12])
    if kind == "array" and isinstance(schema.get("items"), dict) and schema["items"].get("type"):
        return f"list[{_python_type(schema['items'], depth - 1)}]"
    if isinstance(kind, str) and kind in _PYTHON_TYPES:
        return _PYTHON_TYPES[kind]
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list):
        return " | ".join(dict.fromkeys(_python_type(option, depth - 1) for option in options[:12]))
    return "Any"


def _inner_fields(schema: JsonSchema) -> str:
    """The fields of an object parameter, so that a model can fill it in."""
    if not isinstance(schema.get("properties"), dict):
        return ""
    given = schema.get("required")
    required = given if isinstance(given, list) else []
    fields = (
        f"{name}: {_python_type(inner)}{'' if name in required else ' (optional)'}"
        for name, inner in schema["properties"].items()
    )
    return f" {{{', '.join(_as_many(fields, _FIELDS_CHARS))}}}"


def _as_many(parts: Iterable[str], limit: int) -> Iterator[str]:
    """The first parts that have `limit` characters together, and `...` for the others: no part is cut in two."""
    for part in parts:
        limit -= len(part)
        if limit < 0:
            yield "..."
            return
        yield part


def _literal(value: Any) -> str:
    """A short `repr`, also of what is nested too deeply for Python's own."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = _LITERAL_CHARS
    return _shorten(short.repr(value), _LITERAL_CHARS)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _one_line(text: str) -> str:
    return " ".join(text[:_LONGEST].split())
