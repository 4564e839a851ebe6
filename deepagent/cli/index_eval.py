"""`deepagent index eval`: how well tool search finds what is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer
from rich.progress import Progress as Bar
from rich.text import Text

from deepagent.cli.index import app
from deepagent.cli.terminal import interruptible, json_lines, plain, stderr, stdout
from deepagent.evaluation.retrieval.compare import Row, compare, retrievers
from deepagent.models import weights
from deepagent.models.roles import Models
from deepagent.reranking import Reranker, Reranking
from deepagent.retrieval import Encoder
from deepagent.retrieval.choice import TUNED, open_encoder
from deepagent.retrieval.labelled import BUILT_IN, Half, LabelledSet, read_set

_HEAD = ("queries", "R@1", "R@5", "R@10", "R@20", "nDCG@10", "MRR", "C@10")


@app.command("eval")
def evaluate(
    sets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERIES",
            help=f"Sets: a built-in name ({', '.join(BUILT_IN)}), a folder with tools.jsonl and queries.jsonl, "
            "or a file of queries with tools.jsonl beside it. All built-in sets when none is named.",
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="The encoder: a name, a folder that `deepagent train retriever` wrote, or all-minilm-l6-v2, which "
            "`deepagent models pull` fetches (needs the extra `train`)."
        ),
    ] = TUNED,
    half: Annotated[
        Half,
        typer.Option(help="Which queries: those for tuning, those for reporting, or all; told apart by their ids."),
    ] = Half.REPORTING,
    rerank: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Also let this model choose among the tools found; slow.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the first so many of a set.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a row, with fractions.")] = False,
) -> None:
    """Measure tool search on labelled queries, by words, by meaning, and fused as users search.

    Means over queries, in percent. R@k: gold tools among the first k. nDCG@10: the same, early places counting more.
    MRR: 1 / place of the first gold tool. C@10: queries with all their gold tools among the first ten.

    Examples:
      deepagent index eval
      deepagent index eval toolbench restbench_spotify --half all
      deepagent index eval my-tools/queries.jsonl --encoder my-encoder
      deepagent index eval restbench_tmdb --rerank embedded
    """
    chosen = [read_set(name).half(half).first(limit) for name in sets or BUILT_IN]
    with interruptible("nothing was written"), _teller(as_json) as tell:
        fetched = encoder in weights.catalogue()
        asyncio.run(_measure(chosen, open_encoder(str(weights.path(encoder)) if fetched else encoder), rerank, tell))


async def _measure(
    chosen: Sequence[LabelledSet], encoder: Encoder, rerank: str | None, tell: Callable[[Row], None]
) -> None:
    async with Models({"auxiliary": rerank}) as models:
        reranker = Reranker(partial(models.get, "auxiliary"), Reranking()) if rerank else None
        for labelled in chosen:
            with _progress(labelled.name) as progress:
                ways = retrievers(labelled, encoder, reranker, progress)
            async for row in compare(labelled, ways):
                tell(row)


@contextmanager
def _teller(as_json: bool) -> Iterator[Callable[[Row], None]]:
    """What prints a row as soon as it is there."""
    if as_json:
        with json_lines() as write:
            yield lambda row: write(row.model_dump_json())
        return
    stdout.print(_line("set", "subset", "retriever", _HEAD), style="bold", soft_wrap=True)
    yield lambda row: stdout.print(_line(row.set, row.subset, row.retriever, _figures(row)), soft_wrap=True)


def _figures(row: Row) -> list[str]:
    measures = row.measures
    shares = (*measures.recall.values(), measures.ndcg_10, measures.mrr, measures.complete_10)
    return [str(measures.queries), *(f"{100 * share:.1f}" for share in shares)]


def _line(name: str, subset: str, retriever: str, figures: Sequence[str]) -> Text:
    return plain(f"{name:21}{subset:23}{retriever:10}" + "".join(f"{figure:>8}" for figure in figures))


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not stderr.is_terminal:
        yield None
        return
    with Bar(console=stderr, transient=True) as bar:
        task = bar.add_task(f"{name}: encoding", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
