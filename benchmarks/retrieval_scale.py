"""What tool search costs on a large catalogue, as ratios within one run.

    python benchmarks/retrieval_scale.py search INDEX QUERIES
    python benchmarks/retrieval_scale.py open INDEX
    python benchmarks/retrieval_scale.py build CATALOGUE INDEX [--count 5000]
    python benchmarks/retrieval_scale.py distractors INDEX SET
    python benchmarks/retrieval_scale.py lookalikes CATALOGUE SET [--encoder FOLDER]
    python benchmarks/retrieval_scale.py graph [--count 1000000]
    python benchmarks/retrieval_scale.py crossover

INDEX is a folder that `deepagent index build` made (`make catalogue-107k` makes the large one), QUERIES a file of
queries (.jsonl or .jsonl.gz), CATALOGUE a file of tools, SET a labelled set as for `deepagent index eval`. `lookalikes`
is the quick form of `distractors`: only those tools of CATALOGUE are added whose words are nearest to the queries; they
do most of the harm. `build` uses the encoder of INDEX, on one core. `graph` and `crossover` use made-up vectors that
lie in clusters, as those of texts do; their queries are near such vectors but none of them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepagent.cli.index import open_index, read_wishes
from deepagent.retrieval import Encoder, Entry, ToolIndex, dense
from deepagent.retrieval.catalogue import read_catalogue, read_entries
from deepagent.retrieval.choice import TUNED, open_encoder
from deepagent.retrieval.dense import DenseIndex
from deepagent.retrieval.embedding import encoded_queries
from deepagent.retrieval.labelled import Half, LabelledSet, read_set
from deepagent.retrieval.lexical import LexicalIndex
from deepagent.retrieval.text import query_parts, tool_text
from deepagent.serving.batching import BatchSearch
from deepagent.tools import ToolSpec

CALLERS = 8
QUERIES = 200
SEARCHES = 100
NEAREST = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("search")
    one.add_argument("index", type=Path)
    one.add_argument("queries", type=Path)
    one.set_defaults(run=lambda options: search(options.index, options.queries))
    one = commands.add_parser("open")
    one.add_argument("index", type=Path)
    one.set_defaults(run=lambda options: opening(options.index))
    one = commands.add_parser("build")
    one.add_argument("catalogue", type=Path)
    one.add_argument("index", type=Path)
    one.add_argument("--count", type=int, default=5_000)
    one.set_defaults(run=lambda options: building(options.catalogue, options.index, options.count))
    one = commands.add_parser("distractors")
    one.add_argument("index", type=Path)
    one.add_argument("set", type=Path)
    one.set_defaults(run=lambda options: distractors(options.index, options.set))
    one = commands.add_parser("lookalikes")
    one.add_argument("catalogue", type=Path)
    one.add_argument("set", type=Path)
    one.add_argument("--encoder", default=TUNED)
    one.set_defaults(run=lambda options: lookalikes(options.catalogue, options.set, options.encoder))
    one = commands.add_parser("graph")
    one.add_argument("--count", type=int, default=1_000_000)
    one.set_defaults(run=lambda options: graph(options.count))
    one = commands.add_parser("crossover")
    one.set_defaults(run=lambda options: crossover())
    options = parser.parse_args()
    options.run(options)


def search(folder: Path, queries: Path) -> None:
    """Searching beside encoding alone, alternately, so that a busy machine slows both; then eight callers at once."""
    index = open_index(folder)
    wishes = [wish.query for wish in read_wishes(queries)][:SEARCHES]
    for wish in wishes[:10]:
        index.search(wish)
    alone, whole, parts = [], [], []
    for wish in wishes:
        alone.append(timed(lambda wish=wish: index.encoder.encode(query_parts(wish)[:1])))
        parts.append(timed(lambda wish=wish: encoded_queries(index.encoder, [query_parts(wish)])))
        whole.append(timed(lambda wish=wish: index.search(wish)))
    many_parts = np.mean([len(query_parts(wish)) for wish in wishes])
    told(f"{len(index)} tools, {len(wishes)} queries, {many_parts:.1f} parts each")
    told(f"encode the query, p50           {ms(alone)}")
    told(f"encode the query and its parts  {ms(parts)}")
    told(f"search, p50                     {ms(whole)}")
    told(f"search / encode the query       {np.median(whole) / np.median(alone):.2f}")
    told(f"search / encode query and parts {np.median(whole) / np.median(parts):.2f}")
    single, many = asyncio.run(crowd(index, wishes, 1)), asyncio.run(crowd(index, wishes, CALLERS))
    told(f"service, one caller, p50        {ms(single)}")
    told(f"service, {CALLERS} callers, p95         {np.percentile(many, 95) * 1000:.1f} ms")
    told(f"p95 with {CALLERS} / p50 with one       {np.percentile(many, 95) / np.median(single):.2f}")
    told(f"p95 / p50 with {CALLERS}                {np.percentile(many, 95) / np.median(many):.2f}")


async def crowd(index: ToolIndex, wishes: Sequence[str], callers: int) -> list[float]:
    """How long each search takes when so many callers ask one after another."""
    waiting = list(wishes)
    took: list[float] = []

    async def caller(searcher: BatchSearch) -> None:
        while waiting:
            began = time.perf_counter()
            await searcher.search(waiting.pop(), 5)
            took.append(time.perf_counter() - began)

    async with BatchSearch(index) as searcher:
        await asyncio.gather(*[caller(searcher) for _ in range(callers)])
    return took


CHILD = """
import sys, time
from pathlib import Path
import numpy, faiss
from types import SimpleNamespace
from deepagent.retrieval import ToolIndex
from deepagent.retrieval.storage import read_manifest

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

encoder = SimpleNamespace(name=read_manifest(Path(sys.argv[1])).encoder)  # the index alone, without a model
before, began = resident(), time.perf_counter()
index = ToolIndex.open(Path(sys.argv[1]), encoder)
print(time.perf_counter() - began, before, resident())
"""


def opening(folder: Path) -> None:
    """Time and memory of opening an index, in a process of its own."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    rows = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, check=True)
        rows.append([float(word) for word in done.stdout.split()])
    seconds, before, after = np.median(rows, axis=0)
    told(f"on disk                 {size / 1e6:.0f} MB")
    told(f"open                    {seconds:.2f} s")
    told(f"resident before, after  {before / 1e6:.0f} MB, {after / 1e6:.0f} MB")
    told(f"resident / disk         {after / size:.2f}")


def building(catalogue: Path, like: Path, count: int) -> None:
    """A build on one core, and a second one after 1 % of the tools has changed."""
    encoder: Encoder = open_index(like).encoder
    entries = read_entries(catalogue)[:count]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as place:
        first, first_cpu = both(lambda: ToolIndex.build_in(Path(place), entries, encoder))
        changed = [renewed(entry) if number % 100 == 0 else entry for number, entry in enumerate(entries)]
        second, second_cpu = both(lambda: ToolIndex.build_in(Path(place), changed, encoder))
    told(f"first build of {len(entries)}     {first:.1f} s, {first_cpu:.1f} s of processor time")
    told(f"documents per core-second {len(entries) / first_cpu:.0f}")
    told(f"after changing 1 %        {second:.1f} s, {second_cpu:.1f} s of processor time")
    told(f"second / first            {second_cpu / first_cpu:.1%}")


def distractors(folder: Path, labelled: Path) -> None:
    """Recall@5 of a labelled set alone, and among the tools of an index."""
    others = open_index(folder)
    whole = read_set(str(labelled))
    tools = [apart(entry, "labelled") for entry in whole.tools]
    kept(whole, ToolIndex.build(tools, others.encoder), others.updated(tools))


def lookalikes(catalogue: Path, labelled: Path, encoder: str) -> None:
    """Recall@5 of the reporting half of a set alone, and among the tools whose words are nearest to its queries."""
    queries = read_set(str(labelled)).half(Half.REPORTING)
    texts = {tool_text(spec): spec for spec in read_catalogue(catalogue)}
    others = [apart(spec, f"other {number}") for number, spec in enumerate(texts.values())]
    words = LexicalIndex.of(list(texts))
    near = {row for query in queries.queries for row in (-words.scores([query.query])[0]).argsort()[:NEAREST].tolist()}
    alone = ToolIndex.build(queries.tools, open_encoder(encoder))
    kept(queries, alone, alone.updated([others[row] for row in sorted(near)]))


def kept(labelled: LabelledSet, alone: ToolIndex, among: ToolIndex) -> None:
    recalls = []
    for index in (alone, among):
        found = [({hit.id for hit in index.search(query.query, 5)}, query.gold) for query in labelled.queries]
        recalls.append(np.mean([len(ids & gold) / len(gold) for ids, gold in found]))
    told(
        f"{len(labelled.queries)} queries: Recall@5 among {len(alone)} tools {recalls[0]:.1%}, "
        f"among {len(among)} {recalls[1]:.1%}"
    )
    told(f"kept {recalls[1] / recalls[0]:.1%}")


def apart(tool: Entry | ToolSpec, name: str) -> Entry:
    """The tool under a name that no other catalogue has, found by the same text."""
    entry = tool if isinstance(tool, Entry) else Entry(spec=tool)
    spec = entry.spec.model_copy(update={"name": f"{name} {entry.spec.name}"})
    return entry.model_copy(update={"spec": spec, "original": entry.spec.name})


def renewed(entry: Entry) -> Entry:
    spec = entry.spec.model_copy(update={"description": f"New. {entry.spec.description}"})
    return entry.model_copy(update={"spec": spec})


def graph(count: int) -> None:
    """Recall and speed of the graph beside exact search."""
    vectors, queries = clusters(count)
    began, cpu = time.perf_counter(), time.process_time()
    index = DenseIndex(vectors)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    told(f"{count} vectors: graph built in {took:.0f} s, {used:.0f} s of processor time")
    compare(index, queries)


def crossover() -> None:
    """Exact search beside the graph, by size."""
    dense.GRAPH_FROM = 0
    for count in (5_000, 10_000, 20_000, 50_000, 100_000):
        vectors, queries = clusters(count)
        told(f"{count} vectors")
        compare(DenseIndex(vectors), queries)


def compare(index: DenseIndex, queries: NDArray[np.float32]) -> None:
    for k in (10, 200):
        common, graph_took, exact_took = 0, [], []
        for query in queries:
            began = time.perf_counter()
            near = index.best(query[None], k)
            middle = time.perf_counter()
            nearest = index.best(query[None], k, exact=True)
            graph_took.append(middle - began)
            exact_took.append(time.perf_counter() - middle)
            common += len(np.intersect1d(near, nearest))
        recall = common / (k * len(queries))
        told(f"    k={k:3}: recall {recall:.4f}, graph p50 {ms(graph_took)}, exact p50 {ms(exact_took)}")


def clusters(count: int, dimension: int = 384) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors around centres, and queries near some of them, all of length 1."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((max(count // 50, 1), dimension), np.float32)

    def around(number: int) -> NDArray[np.float32]:
        made = centres[draw.integers(0, len(centres), number)]
        made += 0.7 * draw.standard_normal((number, dimension), np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    return around(count), around(QUERIES)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def both(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    cpu = time.process_time()
    return timed(work), time.process_time() - cpu


def ms(seconds: Sequence[float]) -> str:
    return f"{np.median(seconds) * 1000:.2f} ms"


def told(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
