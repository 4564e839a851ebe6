"""`deepagent train`: make models better at this work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress as Bar

from deepagent.cli.terminal import interruptible, say, stderr, stdout
from deepagent.errors import UsageError
from deepagent.models import weights
from deepagent.retrieval import read_catalogue
from deepagent.retrieval.choice import TUNED, open_encoder
from deepagent.retrieval.labelled import BUILT_IN, Half, read_set
from deepagent.retrieval.text import tool_text

if TYPE_CHECKING:
    from deepagent.training.retriever.trainer import Progress

app = typer.Typer(no_args_is_help=True)

_BASE = "all-minilm-l6-v2"


@app.command()
def retriever(
    out: Annotated[Path, typer.Option(help="Folder of the encoder; a broken-off training in it goes on.")],
    sets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUERIES",
            help="Labelled queries: a file of queries with tools.jsonl beside it, a folder with both, or a built-in "
            f"set ({', '.join(BUILT_IN)}).",
        ),
    ] = None,
    catalogues: Annotated[
        list[Path] | None,
        typer.Option("--catalogue", help="Tools without labels (.jsonl, .jsonl.gz): wishes are made up. Repeatable."),
    ] = None,
    base: Annotated[
        str,
        typer.Option(help=f"What to start from: {_BASE} (fetched by `deepagent models pull`), or a folder."),
    ] = _BASE,
    half: Annotated[
        Half, typer.Option(help="Which of the queries to train on; `deepagent index eval` then reports the others.")
    ] = Half.TUNING,
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the labelled queries.")] = 3,
    learning_rate: Annotated[
        float, typer.Option(min=0, help="Take a lower one to go on from an encoder that is tuned already.")
    ] = 5e-5,
    seed: Annotated[int, typer.Option(help="Draws batches and made-up wishes.")] = 0,
) -> None:
    """Tune the encoder of tool search, so that wishes lie near the tools that serve them.

    Queries are lines of {"id", "query", "gold": [tool ids]}, tools lines of {"id", "name", "description", ...}. A few
    hundred labelled queries help; thousands of tools without labels help too. Two cores need under an hour for 3,000
    queries; a GPU is used where there is one. Ctrl-C keeps what was learnt; the same command goes on. The folder is
    what `--encoder` takes; an index must be built anew with it. Needs the extra `train`.

    Examples:
      deepagent train retriever my-tools/queries.jsonl --out my-encoder
      deepagent train retriever --catalogue tools.jsonl --base my-encoder --out better-encoder
      deepagent index eval my-tools/queries.jsonl --encoder my-encoder
    """
    try:
        from deepagent.training.retriever.examples import Strangers, labelled_pool
        from deepagent.training.retriever.trainer import RetrieverTraining, train
        from deepagent.training.retriever.wishes import made_up
    except ModuleNotFoundError as error:
        raise UsageError(f"training needs {error.name}: pip install 'deepagent[train]'") from error

    if not sets and not catalogues:
        raise UsageError("name labelled queries, or a --catalogue of tools to make up wishes for")
    folder = Path(base) if Path(base).is_dir() else weights.path(base)
    config = RetrieverTraining(epochs=epochs, learning_rate=learning_rate, seed=seed)
    with interruptible("the same command goes on from here"):
        miner = open_encoder(TUNED)
        specs = [spec for path in catalogues or [] for spec in read_catalogue(path)]
        strangers = Strangers(map(tool_text, specs))
        pools = []
        for name in sets or []:
            say(f"{name}: looking for tools that only look right")
            pools.append(labelled_pool(read_set(name).half(half), miner, strangers))
        pools += made_up(specs, seed)
        with _shown() as tell:
            train(pools, folder, out, config, tell)
    stdout.print(f"the encoder is in {out}; measure it with `deepagent index eval ... --encoder {out}`", soft_wrap=True)


@contextmanager
def _shown() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal; elsewhere a line every 20 steps."""
    if not stderr.is_terminal:
        yield lambda at: say(_line(at)) if at.step % 20 == 0 or at.step == at.steps else None
        return
    with Bar(console=stderr) as bar:
        task = bar.add_task("training", total=None)
        yield lambda at: bar.update(task, completed=at.step, total=at.steps, description=f"loss {at.loss:.3f}")


def _line(at: Progress) -> str:
    return f"step {at.step} of {at.steps}, loss {at.loss:.3f}, {at.seconds:.0f} s"
