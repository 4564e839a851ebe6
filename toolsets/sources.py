"""The tools of sources as entries of an index: catalogue files, OpenAPI documents and folders of them, tool sources."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepagent.errors import ToolDefinitionError, UsageError
from deepagent.retrieval import Entry, ToolIndex
from deepagent.retrieval.catalogue import read_entries
from deepagent.toolsets.base import Host
from deepagent.toolsets.resolve import open_toolset

CATALOGUES = (".jsonl", ".jsonl.gz")
DOCUMENTS = (".json", ".yaml", ".yml")

_SPACE_CHARS = 40


@dataclass(frozen=True)
class Source:
    """Something that holds tools.

    Attributes:
        where: a catalogue's path, or a tool source as on the command line.
        is_catalogue: whether it is a file of descriptions, whose tools cannot be called.
        found: whether it was only found in a folder; then it may turn out to hold no tools.
    """

    where: str
    is_catalogue: bool = False
    found: bool = False


def expand(given: Iterable[str]) -> list[Source]:
    """The sources that words on the command line name, each once.

    A word is the path of a catalogue (.jsonl, .jsonl.gz), of an OpenAPI document (.json, .yaml, .yml), of a Python
    file, or of a folder with catalogues and documents in any depth; `openapi:FOLDER`; or a tool source (`mcp:COMMAND`).

    Raises:
        UsageError: a word is empty, there is nothing at a path, or a folder holds nothing to read.
    """
    made: dict[str, Source] = {}
    for source in (source for word in given for source in _expand(word)):
        place = str(Path(source.where).resolve()) if source.is_catalogue else source.where
        if place not in made or not source.found:  # what is named must hold tools, also where a folder has it too
            made[place] = source
    return list(made.values())


def _expand(word: str) -> list[Source]:
    kind, _, where = word.partition(":")
    if not word or word == "openapi:":  # as a path it would be the folder that one happens to be in
        raise UsageError("a source is empty; give a path, or a tool source such as mcp:COMMAND")
    path = Path(where if kind == "openapi" else word)
    if path.is_dir():
        held = sorted(one for one in path.rglob("*") if one.name.endswith((*CATALOGUES, *DOCUMENTS)) and one.is_file())
        if not held:
            raise UsageError(f"the folder {path} holds no catalogue (.jsonl) and no OpenAPI document (.json, .yaml)")
        return [_file(one, found=True) for one in held]
    if path.is_file() and (kind == "openapi" or path.name.endswith((*CATALOGUES, *DOCUMENTS, ".py"))):
        return [_file(path)]
    if kind == "openapi":  # with a server, or a path that is not there
        document, hash_, server = where.partition("#")
        return [Source(f"openapi:{Path(document).resolve()}{hash_}{server}")]
    if ":" not in word and ("/" in word or "." in word):
        raise UsageError(f"there is no file {word}; give a path that exists, or a tool source such as mcp:COMMAND")
    return [Source(word)]


def _file(path: Path, *, found: bool = False) -> Source:
    if path.name.endswith(CATALOGUES):
        return Source(str(path), is_catalogue=True, found=found)
    return Source(f"{'python' if path.suffix == '.py' else 'openapi'}:{path.resolve()}", found=found)


async def read_sources(
    sources: Sequence[Source],
    host: Host,
    *,
    distinct: bool = False,
    index: ToolIndex | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    refused: Callable[[str, str], None] = lambda where, why: None,
) -> AsyncIterator[Entry]:
    """The tools of sources, in their order.

    A name that is taken already is led by the toolset's, and numbered if need be; not so in catalogues without ids,
    where the name is all that tells tools apart. A tool that an index holds under such a name gets the same one again.

    Args:
        sources: what to read.
        host: what toolsets may use.
        distinct: of tools with the same toolset, name and description, only give the first.
        index: what they are to be put into; the names of other sources' tools in it are taken.
        progress: called with the number of sources read and the number of all.
        refused: told of each source from a folder that holds no tools, and why.

    Raises:
        UsageError: a source that was named cannot be used, or two catalogues use the same id.
    """
    taken: set[str] = set()
    ids: set[str] = set()
    seen: set[tuple[str, str, str]] = set()
    for number, source in enumerate(sources):
        progress(number, len(sources))
        try:
            entries = await _read(source, host)
        except (UsageError, ToolDefinitionError) as error:
            if not source.found:
                raise
            refused(source.where, str(error))
            continue
        for entry in entries:
            key = (entry.spec.toolset, entry.spec.name, entry.spec.description)
            if distinct and key in seen:
                continue
            seen.add(key)
            if entry.id in ids:
                raise UsageError(f"{source.where}: the id {entry.id[:80]!r} is that of a tool in an earlier catalogue")
            ids |= {entry.id} - {""}
            named = _named(entry, taken, index) if entry.source or entry.id else entry
            taken.add(named.spec.name)
            yield named
    progress(len(sources), len(sources))


async def _read(source: Source, host: Host) -> list[Entry]:
    if source.is_catalogue:
        return read_entries(Path(source.where))
    async with open_toolset(source.where, host) as toolset:
        return [Entry(spec=tool.spec, source=source.where) for tool in toolset.tools]


def _named(entry: Entry, taken: set[str], index: ToolIndex | None) -> Entry:
    """The entry under a name that is not taken yet."""

    def free(name: str) -> bool:
        held = index.entry(name) if index is not None else None
        return name not in taken and (held is None or held.source == entry.source)

    name, number = entry.spec.name, 2
    if not free(name):
        space = re.sub(r"\W+", "_", entry.spec.toolset)[:_SPACE_CHARS].strip("_") or "tools"
        led = name = f"{space}_{name}"
        while not free(name):
            name, number = f"{led}_{number}", number + 1
    if name == entry.spec.name:
        return entry
    spec = entry.spec.model_copy(update={"name": name})
    return entry.model_copy(update={"spec": spec, "original": entry.spec.name})
