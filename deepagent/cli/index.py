"""`deepagent index`: find tools in large catalogues."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from deepagent.cli.terminal import interruptible
from deepagent.errors import UsageError
from deepagent.retrieval import Encoder, HashEncoder, Hit, SentenceEncoder, ToolIndex, read_catalogue
from deepagent.retrieval.storage import read_manifest
from deepagent.retrieval.text import clean

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Progress

app = typer.Typer(help="Index tool descriptions, and search them.", no_args_is_help=True)

_MINILM = "all-minilm-l6-v2"
_NAME_WIDTH = 80
_DESCRIPTION_WIDTH = 160


class EncoderName(StrEnum):
    """How texts become vectors."""

    MINILM = "minilm"
    HASH = "hash"


@app.command()
def build(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Tools, one JSON object per line: .jsonl or .jsonl.gz.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the index; an older index in it is replaced.")],
    encoder: Annotated[
        EncoderName, typer.Option(help="minilm searches by meaning and needs weights; hash only knows spelling.")
    ] = EncoderName.MINILM,
) -> None:
    """Index the tools of one or more catalogues. Texts that the older index holds are not encoded again."""
    chosen = _encoder(encoder)
    specs = [spec for source in sources for spec in read_catalogue(source)]
    with _progress() as progress, interruptible("what was encoded is kept: the same command goes on from there"):
        index = ToolIndex.build_in(out, specs, chosen, progress=progress)
    typer.echo(f"{len(index)} tools in {out}")


@app.command()
def search(
    folder: Annotated[Path, typer.Argument(help="Folder of the index.")],
    query: Annotated[str, typer.Argument(help="What the tool should do, in plain words.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Most tools to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the tools that fit a wish best."""
    if not query.strip():
        raise UsageError("the search query is empty; say in plain words what the tool should do")
    by_hash = read_manifest(folder).encoder == HashEncoder().name
    index = ToolIndex.open(folder, _encoder(EncoderName.HASH if by_hash else EncoderName.MINILM))
    hits = index.search(query, k)
    if as_json:
        typer.echo("\n".join(hit.model_dump_json() for hit in hits))
    else:
        Console().print(_table(hits))


def _encoder(name: EncoderName) -> Encoder:
    if name is EncoderName.HASH:
        return HashEncoder()
    from deepagent.models import weights

    return SentenceEncoder(weights.path(_MINILM))


def _table(hits: list[Hit]) -> Table:
    table = Table("", "tool", "score", "dense", "lexical", "description", box=None)
    for rank, hit in enumerate(hits, 1):
        # Cleaned, and as text rather than markup: a description may hold brackets or terminal commands.
        name = Text(clean(hit.spec.name, _NAME_WIDTH), style="bold")
        description = Text(clean(hit.spec.description, _DESCRIPTION_WIDTH))
        table.add_row(str(rank), name, f"{hit.score:.3f}", f"{hit.dense:.3f}", f"{hit.lexical:.2f}", description)
    return table


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on a terminal, nothing elsewhere; on stderr, so that stdout holds the answer alone."""
    if not sys.stderr.isatty():
        yield None
        return
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("encoding", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
