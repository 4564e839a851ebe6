"""Labelled sets: tools, queries, and which tools each query needs."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepagent.actions import Frozen
from deepagent.errors import UsageError
from deepagent.retrieval.catalogue import json_objects, read_entries
from deepagent.retrieval.entries import Entry

BUILT_IN = (
    "toolbench",
    "bfcl",
    "bfcl_multi_turn_base",
    "sealtools",
    "metatool",
    "restbench_tmdb",
    "restbench_spotify",
    "toolalpaca",
)
"""The sets that come with the package."""

# Live requests of BFCL come in groups of near-copies, numbered in the middle: `live_simple_22-5-0` is of group 5.
_GROUP = re.compile(r"(live_\w+)_\d+-(\d+)-\d+")


class Half(StrEnum):
    """Which queries of a set: those that settings and encoders may be tuned on, those that are reported, or all."""

    TUNING = "tuning"
    REPORTING = "reporting"
    ALL = "all"


class Query(BaseModel):
    """A wish, and what serves it. Sets may say more of it, which is not read.

    Attributes:
        id: unique in its set.
        query: the wish.
        gold: ids of the tools that it needs, at least one.
        subset: the part of the set that it belongs to, or empty.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    query: str = Field(min_length=1)
    gold: frozenset[str] = Field(min_length=1)
    subset: str = ""


class LabelledSet(Frozen):
    """Tools and queries.

    Attributes:
        name: what the set is called.
        tools: the tools.
        queries: the wishes; every gold id is the id of a tool, or its name where it has none.
    """

    name: str
    tools: tuple[Entry, ...]
    queries: tuple[Query, ...]

    def half(self, half: Half) -> LabelledSet:
        """The set with this half of its queries, and all its tools.

        The half of a query depends on the name of its set and its id alone, so it never changes.
        """
        if half is Half.ALL:
            return self
        queries = tuple(query for query in self.queries if _half(self.name, query.id) is half)
        return self.model_copy(update={"queries": queries})

    def first(self, count: int | None) -> LabelledSet:
        """The set with the first so many of its queries, and all its tools."""
        return self.model_copy(update={"queries": self.queries[:count]})

    @property
    def subsets(self) -> tuple[str, ...]:
        """The names of its parts, in the order of their first query; empty where it has no more than one."""
        names = dict.fromkeys(query.subset for query in self.queries)
        return tuple(filter(None, names)) if len(names) > 1 else ()


def read_set(source: str) -> LabelledSet:
    """Return a built-in set by its name, or one from disk.

    Args:
        source: a built-in name; a folder with `tools.jsonl` and `queries.jsonl`, each plain or as `.gz`; or the file of
            queries, with that of the tools beside it.

    Raises:
        UsageError: there is no such set, or it is not one.
    """
    if source in BUILT_IN:
        with resources.as_file(resources.files("deepagent.retrieval") / "sets" / source) as folder:
            return _read(source, folder / "tools.jsonl.gz", folder / "queries.jsonl.gz")
    path = Path(source)
    if not path.exists():
        raise UsageError(f"there is no labelled set {source!r}; name a folder, or one of {', '.join(BUILT_IN)}")
    folder = path if path.is_dir() else path.parent
    return _read(folder.resolve().name, _named(folder, "tools"), _named(folder, "queries") if path.is_dir() else path)


def _half(name: str, query: str) -> Half:
    grouped = _GROUP.fullmatch(query)
    key = ":".join(grouped.groups()) if grouped else query
    return Half.REPORTING if hashlib.sha256(f"{name}:{key}".encode()).digest()[0] % 2 else Half.TUNING


def _named(folder: Path, stem: str) -> Path:
    for ending in (".jsonl.gz", ".jsonl"):
        if (folder / f"{stem}{ending}").is_file():
            return folder / f"{stem}{ending}"
    raise UsageError(f"{folder} is no labelled set: it has no {stem}.jsonl or {stem}.jsonl.gz")


def _read(name: str, tools: Path, queries: Path) -> LabelledSet:
    entries = tuple(read_entries(tools))
    known, found = {entry.known_as for entry in entries}, []
    for line, row in json_objects(queries):
        try:
            query = Query.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise UsageError(f"{queries}, line {line}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        if unknown := sorted(query.gold - known):
            raise UsageError(f"{queries}, line {line}: no tool in {tools.name} has the id {unknown[0]!r}")
        found.append(query)
    if not found:
        raise UsageError(f"{queries} holds no queries")
    return LabelledSet(name=name, tools=entries, queries=tuple(found))
