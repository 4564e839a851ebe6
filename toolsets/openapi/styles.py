"""How values become parts of a request: the styles of OpenAPI parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from deepagent.errors import InvalidArgumentsError

Where = Literal["path", "query", "header", "cookie"]

_DEFAULT_STYLE = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
_KNOWN_STYLES = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
_DELIMITERS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}
_SAFE_RESERVED = ":/?@!$'()*,;"
"""Reserved characters that `allowReserved` may keep: the others would end the value or the query."""


@dataclass(frozen=True)
class Spelling:
    """How one value is spelled.

    Args:
        name: on the wire.
        media: media type of a value that is spelled by its content instead of a style.
    """

    name: str
    where: Where
    style: str
    explode: bool
    reserved: bool = False
    media: str | None = None


def spelling(
    name: str,
    where: Where,
    style: str | None,
    explode: bool | None,
    *,
    reserved: bool = False,
    media: str | None = None,
) -> Spelling:
    """A spelling with what is left out filled in; a style that does not exist in its place is the default one."""
    known = style if style in _KNOWN_STYLES[where] else None
    chosen = known or _DEFAULT_STYLE[where]
    return Spelling(name, where, chosen, (chosen == "form") if explode is None else explode, reserved, media)


def query(how: Spelling, value: Any) -> list[str]:
    """The `name=value` pieces of a query or a form, percent-encoded."""
    name = _encode(how.name)
    if how.media is not None:
        return [f"{name}={_encode(_plain(value))}"]
    if how.style == "deepObject":
        return [f"{key}={_encode(text, how.reserved)}" for key, text in _deep(name, value)]
    if isinstance(value, list):
        items = [_encode(_plain(one), how.reserved) for one in value]
        if how.explode:
            return [f"{name}={one}" for one in items]
        return [f"{name}={_DELIMITERS[how.style].join(items)}"] if items else []
    if isinstance(value, dict):
        fields = [(_encode(key), _encode(_plain(one), how.reserved)) for key, one in value.items()]
        if how.explode:
            return [f"{key}={one}" for key, one in fields]
        return [f"{name}={_DELIMITERS[how.style].join(part for field in fields for part in field)}"] if fields else []
    return [f"{name}={_encode(_plain(value), how.reserved)}"]


def path(how: Spelling, value: Any) -> str:
    """What stands in the place of `{name}` in a path.

    Raises:
        InvalidArgumentsError: the value would name another path.
    """
    name = _encode(how.name)
    if how.media is not None:
        text = _encode(_plain(value))
    elif how.style == "matrix":
        text = _matrix(name, value, how.explode)
    else:
        members = _members(value, how.explode)
        if how.style == "label":  # whose dots stand between values
            text = "." + ("." if how.explode else ",").join(one.replace(".", "%2E") for one in members)
        else:
            text = ",".join(members)
    if text in ("", ".", ".."):
        raise InvalidArgumentsError(f"{how.name}: {_plain(value)!r} cannot stand in a path; give the real value")
    return text


def header(how: Spelling, value: Any) -> str:
    """The value of a header; what could not stand in one is percent-encoded."""
    if how.media is not None:
        text = _plain(value)
    elif isinstance(value, dict):
        between = "=" if how.explode else ","
        text = ",".join(f"{key}{between}{_plain(one)}" for key, one in value.items())
    else:
        text = ",".join(_plain(one) for one in value) if isinstance(value, list) else _plain(value)
    return quote(text, safe="".join(map(chr, range(0x20, 0x7F)))).strip()


def cookie(how: Spelling, value: Any) -> str:
    """The `name=value` pieces of the Cookie header."""
    return "; ".join(query(how, value))


def _members(value: Any, explode: bool) -> list[str]:
    if isinstance(value, dict):
        fields = [(_encode(key), _encode(_plain(one))) for key, one in value.items()]
        return [f"{key}={one}" for key, one in fields] if explode else [part for field in fields for part in field]
    return [_encode(_plain(one)) for one in value] if isinstance(value, list) else [_encode(_plain(value))]


def _matrix(name: str, value: Any, explode: bool) -> str:
    if isinstance(value, dict) and explode:
        return "".join(f";{_encode(key)}={_encode(_plain(one))}" for key, one in value.items())
    if isinstance(value, list) and explode:
        return "".join(f";{name}={_encode(_plain(one))}" for one in value)
    return f";{name}={','.join(_members(value, explode=False))}"


def _deep(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """`a[b][c]=1`; a list repeats its key."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _deep(f"{name}[{_encode(key)}]", one)
    elif isinstance(value, list):
        for one in value:
            yield name, _plain(one)
    else:
        yield name, _plain(value)


def _plain(value: Any) -> str:
    """A value as text: as it is, or as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _encode(text: str, reserved: bool = False) -> str:
    return quote(text, safe=_SAFE_RESERVED if reserved else "", errors="replace")
