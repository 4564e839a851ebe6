"""Swagger 2.0 brought into the form of OpenAPI 3.0. Schemas stay where they are: references still find them there."""

from __future__ import annotations

from typing import Any

from deepagent.errors import ToolDefinitionError
from deepagent.toolsets.openapi.document import Part

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

_COLLECTIONS: dict[str, dict[str, Any]] = {
    "csv": {"style": "form", "explode": False},
    "ssv": {"style": "spaceDelimited", "explode": False},
    "pipes": {"style": "pipeDelimited", "explode": False},
    "multi": {"style": "form", "explode": True},
}
_FLOWS = {
    "accessCode": "authorizationCode",
    "application": "clientCredentials",
    "implicit": "implicit",
    "password": "password",
}
_OUTSIDE_SCHEMA = frozenset({"name", "in", "required", "description", "collectionFormat", "allowEmptyValue", "schema"})


def modernised(root: Part) -> dict[str, Any]:
    """The whole document, with paths, servers and security in the form of OpenAPI 3.0."""
    paths = {path: _path(item, root) for path, item in root.at("paths").items()}
    schemes = {name: _scheme(one.value) for name, one in root.at("securityDefinitions").items()}
    components = {"securitySchemes": {name: one for name, one in schemes.items() if one}}
    return {**root.value, "openapi": "3.0.0", "servers": _servers(root), "paths": paths, "components": components}


def _servers(root: Part) -> list[dict[str, Any]]:
    host, base = root.text("host"), root.text("basePath")
    schemes = [one for one in root.value.get("schemes") or () if one in ("https", "http")] or ["https"]
    if not host:
        return [{"url": base or "/"}]
    return [{"url": f"{scheme}://{host}{base}"} for scheme in sorted(schemes, reverse=True)]


def _path(item: Part, root: Part) -> Any:
    if not isinstance(item.value, dict):
        return item.value
    shared = list(item.at("parameters").each())
    made = {key: value for key, value in item.value.items() if key != "parameters"}
    for method in METHODS:
        if isinstance(item.value.get(method), dict):
            made[method] = _operation(item.at(method), shared, root)
    return made


def _operation(operation: Part, shared: list[Part], root: Part) -> dict[str, Any]:
    given: dict[tuple[str, str], Part] = {}
    lost: list[Any] = []
    for one in [*shared, *operation.at("parameters").each()]:
        try:
            parameter = one.followed()
        except ToolDefinitionError:
            lost.append(one.value)  # left as it is: reading the operation will say so
            continue
        given[parameter.text("name"), parameter.text("in")] = parameter
    plain = [_parameter(one.value) for (_, where), one in given.items() if where not in ("body", "formData")]
    made = {**operation.value, "parameters": lost + plain}
    consumes = operation.value.get("consumes") or root.value.get("consumes") or ["application/json"]
    body = _body([one for (_, where), one in given.items() if where in ("body", "formData")], consumes)
    return {**made, "requestBody": body} if body else made


def _parameter(raw: dict[str, Any]) -> dict[str, Any]:
    schema = raw.get("schema") or {key: value for key, value in raw.items() if key not in _OUTSIDE_SCHEMA}
    made = {key: raw[key] for key in ("name", "in", "required", "description") if key in raw} | {"schema": schema}
    if raw.get("type") == "array":
        how = dict(_COLLECTIONS.get(str(raw.get("collectionFormat", "csv")), _COLLECTIONS["csv"]))
        if raw.get("in") in ("path", "header"):
            how = {"style": "simple", "explode": False}
        made |= how
    return made


def _body(parts: list[Part], consumes: Any) -> dict[str, Any] | None:
    if not parts:
        return None
    types = [one for one in consumes if isinstance(one, str)] if isinstance(consumes, list) else []
    whole = next((one.value for one in parts if one.text("in") == "body"), None)
    if whole is not None:
        kind = next((one for one in types if "json" in one), (types or ["application/json"])[0])
        made = {"required": whole.get("required") is True, "content": {kind: {"schema": whole.get("schema") or {}}}}
        return made | ({"description": whole["description"]} if isinstance(whole.get("description"), str) else {})
    fields = {one.text("name"): one.value for one in parts}
    files = any(one.get("type") == "file" for one in fields.values())
    form = "application/x-www-form-urlencoded"
    kind = "multipart/form-data" if files or (types and form not in types) else form
    schema = {
        "type": "object",
        "properties": {name: _form_field(one) for name, one in fields.items()},
        "required": [name for name, one in fields.items() if one.get("required") is True],
    }
    return {"required": bool(schema["required"]), "content": {kind: {"schema": schema}}}


def _form_field(raw: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in raw.items() if key not in _OUTSIDE_SCHEMA}
    if schema.get("type") == "file":
        schema = {"type": "string", "format": "binary"}
    return schema | ({"description": raw["description"]} if isinstance(raw.get("description"), str) else {})


def _scheme(raw: Any) -> dict[str, Any] | None:
    if not isinstance(raw, dict):
        return None
    if raw.get("type") == "basic":
        return {"type": "http", "scheme": "basic"}
    if raw.get("type") == "oauth2":
        flow = {"tokenUrl": raw.get("tokenUrl"), "scopes": raw.get("scopes") or {}}
        return {"type": "oauth2", "flows": {_FLOWS.get(str(raw.get("flow")), "implicit"): flow}}
    return raw
