"""The two APIs: their documents, their operations, and what a call and an answer are for a mock service."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

from deepagent.toolsets.openapi.document import Part, load
from deepagent.toolsets.openapi.operations import Operation, read_operations

Api = Literal["tmdb", "spotify"]


@dataclass(frozen=True)
class Asked:
    """One call of an operation.

    Attributes:
        where: method and path as in the document, such as `GET /movie/{movie_id}`.
        path: values of the path's parameters.
        query: values of the query's.
        body: the JSON body, or None.
    """

    where: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Answer:
    """What the service answers; None is no body."""

    status: int
    body: Any = None


class Service(Protocol):
    """A made-up service with a state of its own."""

    def answer(self, asked: Asked) -> Answer:
        """Do what is asked. The operation exists, and its required parameters are there."""
        ...


def document_path(api: Api) -> Path:
    """Where the API's document lies."""
    return Path(str(resources.files("deepagent.toolsets.restbench").joinpath(f"{api}.json.gz")))


@cache
def operations(api: Api) -> dict[str, Operation]:
    """The API's operations by method and path, such as `GET /movie/{movie_id}`; each one's `name` is its tool's."""
    found, _ = read_operations(load(document_path(api)))
    return {f"{one.method} {one.path}": one for one in found}


def example(api: Api, where: str) -> Any:
    """A copy of the sample response that the document gives for an operation; None where it gives none."""
    method, _, path = where.partition(" ")
    responses = _document(api).at("paths").at(path).at(method.lower()).at("responses")
    media = responses.at("200").followed().at("content").at("application/json")
    for _, one in media.at("examples").items():
        return copy.deepcopy(one.at("value").value)
    return None


@cache
def _document(api: Api) -> Part:
    return load(document_path(api)).root
