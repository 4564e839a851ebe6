"""Read tool descriptions from files: JSON Lines, plain or gzipped."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deepagent.errors import UsageError
from deepagent.retrieval.entries import Entry
from deepagent.tools import JsonSchema, ToolSpec

_JSON_TYPES = {
    **dict.fromkeys(("string", "str", "char", "date", "datetime", "enum"), "string"),
    **dict.fromkeys(("integer", "int", "long"), "integer"),
    **dict.fromkeys(("number", "float", "double"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("array", "list", "tuple"), "array"),
    **dict.fromkeys(("object", "dict", "hashmap"), "object"),
}


def read_catalogue(path: Path) -> list[ToolSpec]:
    """Return the tools of a catalogue, in its order; see `read_entries`.

    Raises:
        UsageError: the file cannot be read, or a line is not a tool.
    """
    return [entry.spec for entry in read_entries(path)]


def read_entries(path: Path) -> list[Entry]:
    """Return the tools of a `.jsonl` or `.jsonl.gz` file with their ids, in its order.

    A line is an object with `name` and, as far as known, `id`, `description`, `toolset` and `parameters` (a JSON
    Schema). Catalogues made for measuring retrieval are read too: there `category` and `tool` stand for the toolset,
    and `parameters` is a list of objects with `name`, `type`, `description` and `required`. A name that occurs more
    than once in such a file is told apart by category and tool.

    Raises:
        UsageError: the file cannot be read, a line is not a tool, or two lines have the same id.
    """
    rows = list(json_objects(path))
    uses = Counter(str(row.get("name")) for _, row in rows)
    entries = []
    lines: dict[str, int] = {}
    for line, row in rows:
        id_ = "" if row.get("id") is None else str(row["id"])
        if id_ and id_ in lines:
            told = f"{path}: lines {lines[id_]} and {line} have the same id {id_[:80]!r}"
            raise UsageError(f"{told}; give each tool its own")
        lines[id_] = line
        try:
            entries.append(Entry(spec=_spec(row, shared=uses[str(row.get("name"))] > 1), id=id_))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"{path}, line {line} is not a tool: {where}: {first['msg']}") from error
    return entries


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines with their line numbers; lines without anything are skipped.

    Raises:
        UsageError: the file cannot be read, or a line is no JSON object.
    """
    line = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for line, text in enumerate(stream, 1):
                if not text.strip():
                    continue
                row = json.loads(text)
                if not isinstance(row, dict):
                    raise UsageError(f"{path}, line {line} is no JSON object")
                yield line, row
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}, line {line} is not JSON: {error}; one object per line is expected") from error


def _spec(row: dict[str, Any], *, shared: bool) -> ToolSpec:
    name, toolset = row.get("name"), row.get("toolset", "")
    if "toolset" not in row:
        groups = [row[key] for key in ("category", "tool") if row.get(key) and isinstance(row[key], str)]
        groups = list(dict.fromkeys(groups))
        toolset = "/".join(groups)
        if shared and groups:
            name, toolset = ".".join([*groups, str(name)]), ""
    parameters = row.get("parameters")
    if isinstance(parameters, list):
        parameters = _schema(parameters)
    known = {"name": name, "description": row.get("description") or "", "toolset": toolset or ""}
    return ToolSpec.model_validate(known if parameters is None else {**known, "parameters": parameters})


def _schema(parameters: list[Any]) -> JsonSchema:
    """Turn a list of parameters into the JSON Schema of an object."""
    properties: JsonSchema = {}
    required = []
    for parameter in parameters:
        if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
            continue
        kept = {
            key: parameter[key] for key in ("description", "enum", "default") if parameter.get(key) not in (None, "")
        }
        kind = _JSON_TYPES.get(str(parameter.get("type")).lower())
        properties[parameter["name"]] = {"type": kind, **kept} if kind else kept
        if parameter.get("required") is True:
            required.append(parameter["name"])
    return {"type": "object", "properties": properties, "required": required}
