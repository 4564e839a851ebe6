"""A mock of TMDB: the document's sample responses, with names and numbers that fit together.

Whoever searches for a name finds it, under a number that is always the same; asking for that number gives that name;
and so for every film, show, person, company, network and collection that any answer has named. All else (casts, dates,
plots) is the sample's, whatever it is asked for; filters and sort orders change nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from deepagent.toolsets.restbench.apis import Answer, Asked, example

_NUMBERS = 900_000
_TITLES = {"movie": ("title", "original_title"), "tv": ("name", "original_name")}
_HOLDERS = {
    "production_companies": "company",
    "networks": "network",
    "parts": "movie",
    "belongs_to_collection": "collection",
    "created_by": "person",
}
_NO_THINGS = ("keywords", "reviews", "release_dates", "images")
_TRENDING = {"all": "GET /movie/popular", "movie": "GET /movie/popular", "tv": "GET /tv/popular"}
_PEOPLE = "GET /person/popular"


class Tmdb:
    """The service. It remembers the names that it has given."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], str] = {}

    def answer(self, asked: Asked) -> Answer:
        """As `Service`."""
        parts = asked.where.split("/")[1:]
        body = self._body(asked, parts)
        for key, value in asked.path.items():
            if key not in ("media_type", "time_window", "review_id", "credit_id") and not value.isdigit():
                return _failure(404, "The resource you requested could not be found.")
            if key in ("season_number", "episode_number") and key in body:
                body[key] = int(value)
        if "page" in body:
            body["page"] = _number(asked.query.get("page"), 1)
            if body["page"] < 1:
                return _failure(422, "page must be greater than 0")
            if body["page"] > body.get("total_pages", 1):
                body["results"] = []
        self._remember(body, asked, parts)
        return Answer(200, body)

    def _body(self, asked: Asked, parts: list[str]) -> Any:
        if parts[0] == "trending":
            media = asked.path["media_type"]
            return example("tmdb", _TRENDING.get(media, _PEOPLE))
        body = example("tmdb", asked.where)
        if parts[0] == "search":
            body["results"] = self._found(parts[1], asked.query["query"].strip(), body["results"])
            body |= {"total_results": len(body["results"]), "total_pages": 1}
        elif len(asked.path) == 1 and "id" in body and (number := next(iter(asked.path.values()))).isdigit():
            body["id"] = int(number)
            named = self._names.get((parts[0], int(number)))
            if len(parts) == 2 and named:  # the thing itself, and not what belongs to it
                body |= _titled(parts[0], named, body)
        return body

    def _found(self, kind: str, name: str, others: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What is searched for, made of the first sample, and the other samples."""
        if not name:
            return []
        number = number_of(kind, name)
        named = self._names.get((kind, number), name)
        return [others[0] | {"id": number} | _titled(kind, named, others[0]), *others[1:]]

    def _remember(self, body: Any, asked: Asked, parts: list[str]) -> None:
        """Keep the name of everything that an answer names."""
        kind = _results_of(parts, asked)
        credits = {"movie_credits": "movie", "tv_credits": "tv"}.get(parts[-1], "person")
        held = {**_HOLDERS, "cast": credits, "crew": credits, "guest_stars": "person", "results": kind}
        for inner, found in _things(body, parts[0] if len(parts) == 2 else None, held):
            name = found.get("title") or found.get("name")
            if isinstance(found.get("id"), int) and isinstance(name, str):
                self._names.setdefault((inner, found["id"]), name)


def _results_of(parts: list[str], asked: Asked) -> str | None:
    """What kind of thing the results of an operation are."""
    if parts[0] == "trending":
        media = asked.path["media_type"]
        return "movie" if media == "all" else media
    if parts[0] in ("search", "discover"):
        return parts[1]
    return None if parts[-1] in _NO_THINGS else parts[0]


def number_of(kind: str, name: str) -> int:
    """The number under which a name is found."""
    return 1 + zlib.crc32(f"{kind} {name.casefold()}".encode()) % _NUMBERS


def _things(value: Any, kind: str | None, held: Mapping[str, str | None]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything in an answer that is a thing, with its kind.

    Args:
        value: the answer, or a part of it.
        kind: of the things in this part.
        held: kinds by the key that holds them.
    """
    if isinstance(value, list):
        for one in value:
            yield from _things(one, kind, held)
    elif isinstance(value, dict):
        told = value.get("media_type")
        own = told if told in ("movie", "tv", "person") else kind
        if own is not None:
            yield own, value
        for key, inner in value.items():
            yield from _things(inner, held.get(key), held)


def _titled(kind: str, name: str, sample: dict[str, Any]) -> dict[str, Any]:
    return {key: name for key in _TITLES.get(kind, ("name",)) if key in sample}


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.lstrip("-").isdigit() else default


def _failure(status: int, message: str) -> Answer:
    return Answer(status, {"success": False, "status_code": 34, "status_message": message})
