"""The operations of a document: what each takes, where it goes, and its tool's schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from openapi_pydantic.v3 import v3_0, v3_1
from pydantic import ValidationError

from deepagent.errors import ToolDefinitionError
from deepagent.tools import Effect, JsonSchema
from deepagent.toolsets.openapi import bodies, styles
from deepagent.toolsets.openapi.bodies import Body
from deepagent.toolsets.openapi.document import Document, Part
from deepagent.toolsets.openapi.schemas import Definitions, SchemaWriter
from deepagent.toolsets.openapi.styles import Spelling
from deepagent.toolsets.openapi.swagger import METHODS

_NAME_CHARS = 64
_DESCRIPTION_CHARS = 4000
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_PURE = ("get", "head", "options", "trace")
_NOT_PARAMETERS = ("accept", "content-type", "authorization")
"""Headers that the specification says to ignore among parameters."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: the tool's, unique in the document and an identifier.
        server: where paths start, without a slash at the end; None where nobody says.
        spellings: of each argument that is a parameter.
        requirements: alternatives of security schemes.
        schema: of all arguments.
        returns: gives the schema of what a success answers, where the document has one.
    """

    name: str
    method: str
    path: str
    description: str
    effect: Effect
    server: str | None
    spellings: Mapping[str, Spelling]
    body: Body | None
    requirements: tuple[Mapping[str, Any], ...]
    schema: JsonSchema
    returns: Callable[[], JsonSchema | None] = lambda: None


@dataclass(frozen=True)
class Refusal:
    """An operation that cannot be a tool, and why."""

    operation: str
    reason: str


def read_operations(
    document: Document, server: str | None = None, variables: Mapping[str, str] | None = None
) -> tuple[list[Operation], list[Refusal]]:
    """The operations of a document, and those that cannot be used.

    Args:
        document: the document.
        server: where to send requests; by default where the document says.
        variables: values for variables in the document's server URLs.
    """
    made: list[Operation] = []
    refused: list[Refusal] = []
    taken: set[str] = set()
    shared = Definitions()
    for path, method, item, operation in _listed(document, refused):
        try:
            name = _name(operation.text("operationId"), method, path, taken)
            base = server or _server([operation, item, document.root], variables or {})
            made.append(_Reader(document, item, operation, shared).read(name, method, path, base))
            taken.add(name)
        except ToolDefinitionError as error:
            refused.append(Refusal(f"{method.upper()} {path}"[:200], str(error)))
    return made, refused


def _listed(document: Document, refused: list[Refusal]) -> Iterator[tuple[str, str, Part, Part]]:
    for path, part in document.root.at("paths").items():
        if not path.startswith("/"):
            continue  # an extension
        try:
            item = part.followed()
        except ToolDefinitionError as error:
            refused.append(Refusal(path[:200], str(error)))
            continue
        for method in METHODS:
            operation = item.at(method)
            if isinstance(operation.value, dict):
                yield path, method, item, operation


class _Reader:
    """Reads one operation."""

    def __init__(self, document: Document, item: Part, operation: Part, shared: Definitions) -> None:
        self._document = document
        self._shared = shared
        self._item = item
        self._operation = operation
        # Both versions' models have the fields that are read here; they differ in what a schema may hold.
        self._models: Any = v3_0 if document.version == "3.0" else v3_1
        self._arguments: dict[str, tuple[Part, str]] = {}
        self._required: list[str] = []
        self._spellings: dict[str, Spelling] = {}

    def read(self, name: str, method: str, path: str, server: str | None) -> Operation:
        requirements = self._requirements()
        for part in self._parameters(requirements):
            self._add(part)
        missing = set(_PLACEHOLDER.findall(path)) - {
            how.name for how in self._spellings.values() if how.where == "path"
        }
        for one in sorted(missing):  # forgotten in the document, but needed all the same
            self._take(one, self._item.within({"type": "string"}), "", required=True, where="path")
        body = self._body()
        schema = SchemaWriter(self._document.version, self._shared).write(self._arguments, self._required)
        effect: Effect = "pure" if method in _PURE else "idempotent" if method in ("put", "delete") else "unsafe"
        return Operation(
            name=name,
            method=method.upper(),
            path=path,
            description=self._description(method, path),
            effect=effect,
            server=server,
            spellings=self._spellings,
            body=body,
            requirements=tuple(requirements),
            schema=schema,
            returns=self._returns,  # written when it is asked for: most never are
        )

    def _parameters(self, requirements: list[dict[str, Any]]) -> list[Part]:
        """The parameters, those of the path first; what carries credentials is not for the model."""
        given: dict[tuple[str, str], Part] = {}
        for one in [*self._item.at("parameters").each(), *self._operation.at("parameters").each()]:
            part = one.followed()
            given[part.text("name"), part.text("in")] = part
        schemes = self._document.root.at("components").at("securitySchemes")
        for alternative in requirements:
            for name in alternative:
                scheme = schemes.at(name)
                given.pop((scheme.text("name"), scheme.text("in")), None)
        return list(given.values())

    def _add(self, part: Part) -> None:
        parameter = _validated(self._models.Parameter, part, f"parameter {part.text('name')[:60]!r}")
        where = parameter.param_in.value
        if where == "header" and parameter.name.lower() in _NOT_PARAMETERS:
            return
        schema, media = part.at("schema"), None
        for kind, one in part.at("content").items():
            schema, media = one.at("schema"), kind
        how = {"style": parameter.style, "explode": parameter.explode, "reserved": parameter.allowReserved}
        required = parameter.required or where == "path"
        self._take(
            parameter.name, schema, parameter.description or "", required=required, where=where, media=media, **how
        )

    def _take(self, wire: str, schema: Part, note: str, *, required: bool, where: Any, **how: Any) -> None:
        name = self._argument(wire)
        self._arguments[name] = schema, note
        self._spellings[name] = styles.spelling(wire, where, how.pop("style", None), how.pop("explode", None), **how)
        if required:
            self._required.append(name)

    def _argument(self, wire: str) -> str:
        """A name for an argument that Python can spell too."""
        plain = re.sub(r"\W+", "_", wire).strip("_") or "value"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        name, number = plain, 2
        while name in self._arguments:
            name, number = f"{plain}_{number}", number + 1
        return name

    def _body(self) -> Body | None:
        if self._operation.value.get("requestBody") is None:
            return None
        part = self._operation.at("requestBody").followed()
        if not isinstance(part.value, dict) or not part.at("content").value:
            return None
        body = _validated(self._models.RequestBody, part, "request body")
        media = bodies.preferred(list(body.content))
        if media is None:
            return None
        content = part.at("content").at(media)
        schema, note = content.at("schema"), body.description or ""
        base = media.partition(";")[0].strip().lower()
        if not bodies.is_json(base) and base not in (bodies.FORM, bodies.MULTIPART):
            schema, note = part.within({"type": "string"}), f"{note} {media}. {bodies.FILE_NOTE}".strip()
        name = self._argument("body")
        self._arguments[name] = schema, note
        if body.required:
            self._required.append(name)
        return self._form(name, media, body.required, content)

    def _form(self, name: str, media: str, required: bool, content: Part) -> Body:
        fields: dict[str, Spelling] = {}
        kinds: dict[str, str] = {}
        for key, one in content.at("encoding").items():
            told = _validated(self._models.Encoding, one, f"encoding of {key[:60]!r}")
            if told.style is not None or told.explode is not None:
                fields[key] = styles.spelling(key, "query", told.style, told.explode)
            kind = (told.contentType or "").partition(",")[0].strip()
            if "/" in kind and "*" not in kind and kind.isprintable() and kind.isascii():
                kinds[key] = kind
        try:
            properties = content.at("schema").followed().at("properties")
            files = frozenset(key for key, one in properties.items() if _is_file(one.followed()))
        except ToolDefinitionError:
            files = frozenset()
        return Body(name, media, required, fields, kinds, files)

    def _returns(self) -> JsonSchema | None:
        """The schema of the first success that answers JSON."""
        for status, part in self._operation.at("responses").items():
            if not status.startswith("2"):
                continue
            try:
                contents = part.followed().at("content").items()
                schema = next((one.at("schema") for media, one in contents if bodies.is_json(media)), None)
                if schema is not None and schema.value:
                    whole = SchemaWriter(self._document.version).write({"result": (schema, "")}, [])
                    defined = {"$defs": whole["$defs"]} if "$defs" in whole else {}
                    return {**whole["properties"]["result"], **defined}
            except ToolDefinitionError:
                continue
        return None

    def _requirements(self) -> list[dict[str, Any]]:
        own = self._operation.value.get("security", self._document.root.value.get("security"))
        return [one for one in own if isinstance(one, dict)] if isinstance(own, list) else []

    def _description(self, method: str, path: str) -> str:
        summary, text = self._operation.text("summary").strip(), self._operation.text("description").strip()
        parts = [summary, text if text != summary else ""]
        told = "\n".join(part for part in parts if part) or self._item.text("summary") or f"{method.upper()} {path}"
        lead = "Deprecated. " if self._operation.value.get("deprecated") is True else ""
        return f"{lead}{told}"[:_DESCRIPTION_CHARS]


def _validated(model: Any, part: Part, what: str) -> Any:
    """A part as the library's model of it, which says what is wrong. Schemas are the schema writer's, who is milder."""
    try:
        return model.model_validate(_without_schemas(part.value))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise ToolDefinitionError(f"{what}: {place}: {first['msg']}"[:300]) from error
    except RecursionError as error:
        raise ToolDefinitionError(f"{what}: is nested too deeply") from error


def _without_schemas(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    made = {key: one for key, one in value.items() if key not in ("schema", "example", "examples", "headers")}
    if isinstance(made.get("content"), dict):
        made["content"] = {kind: _without_schemas(one) for kind, one in made["content"].items()}
    return made


def _is_file(part: Part) -> bool:
    schema = part.at("items") if part.text("type") == "array" else part
    return schema.text("format") in ("binary", "base64") or bool(schema.text("contentMediaType"))


def _name(operation_id: str, method: str, path: str, taken: set[str]) -> str:
    told = operation_id if re.search(r"[A-Za-z]", operation_id) else f"{method}_{path}"
    plain = re.sub(r"[^A-Za-z0-9]+", "_", told).strip("_")[:_NAME_CHARS].rstrip("_")
    plain = f"_{plain}" if plain[:1].isdigit() else plain
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain[: _NAME_CHARS - 4]}_{number}", number + 1
    return name


def _server(places: list[Part], variables: Mapping[str, str]) -> str | None:
    """The first server that the innermost place names, with its variables filled in."""
    for place in places:
        for one in place.at("servers").each():
            told = one.at("variables")

            def filled(match: re.Match[str], told: Part = told) -> str:
                name = match.group(1)
                return variables.get(name) or str(told.at(name).at("default").value or "")

            url = _PLACEHOLDER.sub(filled, one.text("url"))
            if urlsplit(url).scheme in ("http", "https"):
                return url.rstrip("/")
    return None


def base_of(document: Document, server: str | None) -> str | None:
    """A server that the user named, joined with what the document says below its host."""
    first = next(document.root.at("servers").each(), None)
    if server is None or first is None or urlsplit(server).path.strip("/"):
        return server.rstrip("/") if server else None
    path = urlsplit(first.text("url")).path
    return urljoin(server, path).rstrip("/") if path and "{" not in path else server.rstrip("/")
