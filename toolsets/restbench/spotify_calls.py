"""Reading a call of Spotify's API, and the form of its pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepagent.toolsets.restbench.apis import Asked

HREF = "https://api.spotify.com/v1"
MOST = 50
"""Longest page."""


class RefusedError(Exception):
    """The service does not do it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def page(asked: Asked, items: Sequence[Any]) -> dict[str, Any]:
    """The part of the items that is asked for, in the API's form."""
    limit, offset = _amount(asked, "limit", 20), _amount(asked, "offset", 0)
    shown = list(items)[offset : offset + limit]
    where = f"{HREF}{asked.where.partition(' ')[2]}"
    return {"href": where, "items": shown, "limit": limit, "next": None, "offset": offset, "previous": None} | {
        "total": len(items)
    }


def _amount(asked: Asked, name: str, default: int) -> int:
    text = asked.query.get(name, str(default))
    if not text.isdigit() or not (0 if name == "offset" else 1) <= int(text) <= MOST:
        raise RefusedError(400, f"Invalid {name}")
    return int(text)


def percent(asked: Asked) -> int:
    """The volume that is asked for."""
    text = asked.query["volume_percent"]
    if not text.isdigit() or int(text) > 100:
        raise RefusedError(400, "volume_percent must be between 0 and 100")
    return int(text)


def chosen(asked: Asked, name: str, choices: Sequence[str]) -> str:
    """A query parameter that must be one of some words."""
    if asked.query[name] not in choices:
        raise RefusedError(400, f"{name} must be one of {', '.join(choices)}")
    return asked.query[name]


def object_of(asked: Asked) -> dict[str, Any]:
    """The body, which must be an object."""
    if not isinstance(asked.body, dict):
        raise RefusedError(400, "the body must be a JSON object")
    return asked.body


def ids(asked: Asked) -> list[str]:
    """The ids of the query, or of the body where it has none; as the API does it."""
    return _several(asked, "ids")


def uris(asked: Asked) -> list[str]:
    """As `ids`."""
    return _several(asked, "uris")


def _several(asked: Asked, name: str) -> list[str]:
    told = asked.body.get(name) if isinstance(asked.body, dict) else None
    found = [one for one in asked.query.get(name, "").split(",") if one] or told
    if not isinstance(found, list) or not found:
        raise RefusedError(400, f"Missing required field: {name}")
    return [str(one) for one in found]
