"""A FastAPI server with one operation for every style that a parameter can have.

It takes the raw request apart by itself, in the way the specification tells, and answers with what it understood.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

from fastapi import FastAPI, Request

WORDS = {"type": "string", "minLength": 1, "maxLength": 12}
NAMES = ("R", "G-1", "B/b")


@dataclass(frozen=True)
class Case:
    where: str
    style: str
    explode: bool
    shape: str

    @property
    def name(self) -> str:
        return f"{self.where}_{self.style}_{'explode' if self.explode else 'joined'}_{self.shape}"

    @property
    def schema(self) -> dict[str, Any]:
        word = WORDS
        if self.where == "header":  # nothing is encoded there, so that a comma always stands between values
            word = WORDS | {"pattern": "^[!-+\\--~]+$"}
        if self.where == "path":  # the framework's own router stops at a line break
            word = WORDS | {"pattern": "^[^\n]+$"}
        if self.style in ("spaceDelimited", "pipeDelimited"):  # the encoded delimiter is the encoded character
            word = WORDS | {"pattern": "^[^ |]+$"}
        if self.shape == "array":
            return {"type": "array", "items": word, "minItems": 1, "maxItems": 4}
        if self.shape == "object":
            fields = dict.fromkeys(NAMES, word)
            return {"type": "object", "properties": fields, "additionalProperties": False, "minProperties": 1}
        return word


def cases() -> Iterator[Case]:
    shapes = ("value", "array", "object")
    for where, style in (("path", "simple"), ("path", "label"), ("path", "matrix"), ("query", "form")):
        yield from (Case(where, style, explode, shape) for explode in (False, True) for shape in shapes)
    yield from (Case("header", "simple", explode, shape) for explode in (False, True) for shape in shapes)
    yield from (Case("cookie", "form", False, shape) for shape in shapes)
    yield from (
        Case("query", style, False, shape) for style in ("spaceDelimited", "pipeDelimited") for shape in shapes[1:]
    )
    yield Case("query", "deepObject", True, "object")


CASES = {case.name: case for case in cases()}


def understood(case: Case, raw: str) -> Any:
    """What a raw value means; `raw` is what the place holds, still encoded."""
    decode = unquote_plus if case.where == "query" else unquote
    if case.where == "header":
        decode = str
    if case.style == "deepObject":
        pairs = [part.partition("=")[::2] for part in raw.split("&")]
        return {decode(key)[len("value[") : -1]: decode(one) for key, one in pairs}
    between = {"spaceDelimited": "%20", "pipeDelimited": "%7C"}.get(case.style, ",")
    if case.style == "label":
        raw, between = raw.removeprefix("."), "." if case.explode else ","
    if case.style == "matrix":
        raw = raw.removeprefix(";")
        raw, between = (raw, ";") if case.explode else (raw.partition("=")[2], ",")
    if case.style == "form" and case.explode:
        between = "&"
    if case.style == "form" and not case.explode:
        raw = raw.partition("=")[2]
    if case.style in ("spaceDelimited", "pipeDelimited"):
        raw = raw.partition("=")[2]
    named = case.explode and (case.style in ("matrix", "form"))
    if case.shape == "value":
        return decode(raw.partition("=")[2] if named else raw)
    parts = raw.split(between)
    if case.shape == "array":
        return [decode(one.partition("=")[2] if named else one) for one in parts]
    if case.explode:
        return {decode(key): decode(one) for key, one in (part.partition("=")[::2] for part in parts)}
    return {decode(key): decode(one) for key, one in zip(parts[::2], parts[1::2], strict=True)}


def raw_value(case: Case, request: Request) -> str:
    if case.where == "path":
        return request.scope["raw_path"].decode().split("?")[0].partition(f"/{case.name}/")[2]
    if case.where == "query":
        return request.scope["query_string"].decode()
    return request.headers["cookie" if case.where == "cookie" else "value"]


def make() -> FastAPI:
    app = FastAPI(title="Styles")
    for case in CASES.values():
        parameter = {
            "name": "value",
            "in": case.where,
            "required": True,
            "style": case.style,
            "explode": case.explode,
            "schema": case.schema,
        }

        async def handler(request: Request, case: Case = case) -> Any:
            return understood(case, raw_value(case, request))

        handler.__annotations__.pop("case")
        path = f"/{case.name}" + ("/{value:path}" if case.where == "path" else "")
        app.add_api_route(
            path, _only_request(handler), operation_id=case.name, openapi_extra={"parameters": [parameter]}
        )
    return app


def _only_request(handler: Any) -> Any:
    async def endpoint(request: Request) -> Any:
        return await handler(request)

    return endpoint
