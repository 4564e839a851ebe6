"""`deepagent index`: find tools in large catalogues."""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from deepagent.cli.terminal import interruptible, json_lines, plain, say, say_table, stderr, stdout
from deepagent.config import effective
from deepagent.errors import UsageError
from deepagent.models.roles import Models
from deepagent.retrieval import Hit, ToolIndex
from deepagent.retrieval.catalogue import json_objects
from deepagent.retrieval.choice import TUNED, open_encoder, open_index
from deepagent.retrieval.segment import Record, record_of
from deepagent.retrieval.storage import building, read_manifest
from deepagent.retrieval.text import clean
from deepagent.toolsets.base import Host
from deepagent.toolsets.sources import expand, read_sources

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Progress

app = typer.Typer(no_args_is_help=True)

_NAME_WIDTH = 80
_DESCRIPTION_WIDTH = 160
_REASON_WIDTH = 120
_REASONS = 5


SourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Catalogue (.jsonl, .jsonl.gz), OpenAPI document, Python file, folder of these, mcp:COMMAND, mcp:URL, ...",
    ),
]
FolderArgument = Annotated[Path, typer.Argument(help="Folder of the index.")]
OpenedEncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="What the index was built with, if it is not an encoder of ours.")
]
DistinctOption = Annotated[
    bool, typer.Option("--distinct", help="Of tools with the same toolset, name and description, take one.")
]


@app.command()
def build(
    sources: SourcesArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder of the index; an older index in it is replaced.")],
    encoder: Annotated[
        str, typer.Option(help=f"{TUNED}, hash (only knows spelling), a plugin's, or a folder of your own.")
    ] = TUNED,
    distinct: DistinctOption = False,
) -> None:
    """Index the tools of one or more sources. What the older index holds is not computed again.

    A line of a catalogue is a JSON object with a name and, as far as known, id, description, toolset and parameters.
    A build that was broken off goes on where it was when the same command is given again.

    Examples:
      deepagent index build tools.jsonl --out my-index
      deepagent index build apis/ shop.yaml "mcp:npx some-server" my_tools.py --out my-index
    """
    chosen = open_encoder(encoder)
    tools = _read(sources, distinct=distinct)
    with (
        _progress("encoding") as progress,
        interruptible(f"what was encoded is kept in {out}: the same command goes on"),
    ):
        index = ToolIndex.build_in(out, tools, chosen, progress=progress)
    typer.echo(f"{len(index)} tools in {out}")


@app.command()
def update(
    folder: FolderArgument,
    sources: Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help="As for build.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="Name of a tool to take out. Repeatable.")
    ] = None,
    encoder: OpenedEncoderOption = None,
) -> None:
    """Add the tools of sources to an index, replace those of the same name, and take others out.

    Examples:
      deepagent index update my-index new_tools.jsonl --remove old_tool
    """
    read_manifest(folder)  # only where an index is can one be changed
    with building(folder):  # or of two changes at the same time one would be lost
        index = open_index(folder, encoder)
        missing = [name for name in remove or () if name not in index]
        if missing:
            raise UsageError(f"the index holds no tool {missing[0]!r}; `deepagent index search` shows names")
        tools = _read(sources or [], index=index)
        with _progress("encoding") as progress, interruptible("nothing was written"):
            index = index.updated(tools, without=remove or (), progress=progress)
        index.save(folder)
    typer.echo(f"{len(index)} tools in {folder}")


@app.command()
def search(
    folder: FolderArgument,
    query: Annotated[str | None, typer.Argument(help="What the tool should do, in plain words.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Most tools to show.")] = 5,
    toolset: Annotated[str | None, typer.Option(help="Search in this toolset alone.")] = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", help='File of {"id": ..., "query": ...} lines to search for instead.')
    ] = None,
    encoder: OpenedEncoderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Show the tools that fit a wish best: the fused score, the cosine and the BM25 score of each.

    With --queries and --json, one line is written for each query: {"query_id": ..., "ranked": [tool ids]}, best first.

    Examples:
      deepagent index search my-index "book a table for two"
      deepagent index search my-index --queries wishes.jsonl -k 10 --json
    """
    if (query is None) == (queries is None):
        raise UsageError("give either a query or --queries FILE")
    if query is not None and not query.strip():
        raise UsageError("the search query is empty; say in plain words what the tool should do")
    wishes = [Wish(id="", query=query)] if query is not None else list(read_wishes(queries or Path()))
    index = open_index(folder, encoder)
    if toolset is not None and wishes and not index.search(wishes[0].query, 1, toolset=toolset):
        raise UsageError(_no_toolset(index, toolset))
    found = ((wish, index.search(wish.query, k, toolset=toolset)) for wish in wishes)
    if as_json:
        with json_lines() as write:
            for line in _as_json(found, ranked=queries is not None):
                write(line)
        return
    for wish, hits in found:
        if queries is not None:
            stdout.print(plain(f"{wish.id}  {clean(wish.query, _DESCRIPTION_WIDTH)}"))
        say_table(_table(hits))


def _no_toolset(index: ToolIndex, name: str) -> str:
    """What is told of a toolset that the index has no tools of: the nearest names that there are."""
    known = sorted({spec.toolset for spec in index.specs if spec.toolset})
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
    hint = f"near: {', '.join(near)}" if near else "its tools belong to none; leave --toolset out"
    return f"no toolset {name!r} in the index; {hint}"


def _as_json(found: Iterable[tuple[Wish, list[Hit]]], *, ranked: bool) -> Iterator[str]:
    """A line for each query with the ids of what was found, or a line for each tool that was found."""
    for wish, hits in found:
        if ranked:
            yield json.dumps({"query_id": wish.id, "ranked": [hit.id for hit in hits]}, ensure_ascii=False)
        else:
            yield from (hit.model_dump_json() for hit in hits)


class Wish(BaseModel):
    """A line of a file of queries; what else the line holds is not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str | int
    query: str


def read_wishes(path: Path) -> Iterator[Wish]:
    """The queries of a `.jsonl` or `.jsonl.gz` file.

    Raises:
        UsageError: it cannot be read, or a line is no query.
    """
    for line, row in json_objects(path):
        try:
            wish = Wish.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"{path}, line {line} is not a query: {where}: {first['msg']}") from error
        if not clean(wish.query, 100):
            raise UsageError(f"{path}, line {line}: the query is empty; say in plain words what the tool should do")
        yield wish


def _read(words: list[str], *, distinct: bool = False, index: ToolIndex | None = None) -> list[Record]:
    """The tools of sources; says what could not be read."""
    refusals: list[tuple[str, str]] = []

    async def records() -> list[Record]:
        async with _host() as host:
            sources = expand(words)
            with _progress("reading") as progress:
                told = progress or (lambda done, total: None)
                found = read_sources(
                    sources,
                    host,
                    distinct=distinct,
                    index=index,
                    progress=told,
                    refused=lambda *one: refusals.append(one),
                )
                return [record_of(entry) async for entry in found]

    with interruptible("nothing was written"):
        made = asyncio.run(records())
    for where, why in refusals[:_REASONS]:
        say(f"left out {where}: {clean(why, _REASON_WIDTH)}")
    if len(refusals) > _REASONS:
        say(f"and {len(refusals) - _REASONS} more that hold no tools")
    return made


@asynccontextmanager
async def _host() -> AsyncIterator[Host]:
    settings = effective().settings
    async with Models(settings.roles) as models:
        yield Host(settings.agent.sandbox, models.get)


def _table(hits: list[Hit]) -> Table:
    table = Table("", "tool", "score", "dense", "lexical", "description", box=None)
    for rank, hit in enumerate(hits, 1):
        # Cleaned, and as text rather than markup: a description may hold brackets or terminal commands.
        name = Text(clean(hit.spec.name, _NAME_WIDTH), style="bold")
        description = Text(clean(hit.spec.description, _DESCRIPTION_WIDTH))
        table.add_row(str(rank), name, f"{hit.score:.3f}", f"{hit.dense:.3f}", f"{hit.lexical:.2f}", description)
    return table


@contextmanager
def _progress(what: str) -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere; on stderr, so that stdout holds the answer alone."""
    if not sys.stderr.isatty():
        yield None
        return
    with Bar(console=stderr, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
