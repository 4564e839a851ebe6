"""Measure tool search on labelled sets.

    python benchmarks/retrieval.py FOLDER SET... [--weights FOLDER]

A set is a folder with `tools.jsonl.gz` (see `deepagent.retrieval.read_catalogue`; each line also has an `id`) and
`queries.jsonl.gz` (`query` and `gold`, a list of tool ids). Without `--weights` the hash encoder is measured.
All numbers are means over queries, in percent: R = recall, nDCG, C = share of queries with all gold tools found.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepagent.retrieval import HashEncoder, SentenceEncoder, ToolIndex, read_catalogue
from deepagent.retrieval.dense import DenseIndex
from deepagent.retrieval.encoders import Encoder
from deepagent.retrieval.fusion import fuse
from deepagent.retrieval.lexical import LexicalIndex
from deepagent.retrieval.text import query_parts, tool_text

WAYS = ("BM25", "dense", "fused", "fused+split")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--weights", type=Path, help="a sentence-transformers model")
    options = parser.parse_args()
    encoder: Encoder = SentenceEncoder(options.weights) if options.weights else HashEncoder()
    print(f"{'set':22} {'way':12} {'R@5':>6} {'R@10':>6} {'nDCG@10':>8} {'C@10':>6}")
    for name in options.sets:
        measure(name, options.folder / name, encoder)


def measure(name: str, folder: Path, encoder: Encoder) -> None:
    specs = read_catalogue(folder / "tools.jsonl.gz")
    rows = {tool["id"]: row for row, tool in enumerate(_lines(folder / "tools.jsonl.gz"))}
    queries = list(_lines(folder / "queries.jsonl.gz"))
    golds = [{rows[tool] for tool in query["gold"]} for query in queries]
    rankings = rank([tool_text(spec) for spec in specs], [query["query"] for query in queries], encoder)
    for way in WAYS:
        recall5, recall10, ndcg, complete = scores(rankings[way], golds)
        print(f"{name:22} {way:12} {recall5:6.1f} {recall10:6.1f} {ndcg:8.1f} {complete:6.1f}")
    start = time.perf_counter()
    index = ToolIndex.build(specs, encoder)
    built = time.perf_counter()
    for query in queries[:100]:
        index.search(query["query"])
    took = (time.perf_counter() - built) / len(queries[:100])
    print(f"{name:22} {len(specs)} tools: built in {built - start:.1f} s, {took * 1000:.1f} ms a query\n", flush=True)


def rank(texts: list[str], queries: list[str], encoder: Encoder) -> dict[str, list[NDArray[np.intp]]]:
    """The first ten rows for each query, by each way of scoring."""
    dense_index, lexical_index = DenseIndex(encoder.encode(texts)), LexicalIndex.of(texts)
    parts = [query_parts(query) for query in queries]
    vectors = encoder.encode([part for group in parts for part in group])
    found: dict[str, list[NDArray[np.intp]]] = {way: [] for way in WAYS}
    end = 0
    for group in parts:
        start, end = end, end + len(group)
        dense, lexical = dense_index.scores(vectors[start:end]), lexical_index.scores(group)
        by_way = (lexical[0], dense[0], fuse(dense[:1], lexical[:1]), fuse(dense, lexical))
        for way, values in zip(WAYS, by_way, strict=True):
            found[way].append(np.argsort(-values, kind="stable")[:10])
    return found


def scores(rankings: list[NDArray[np.intp]], golds: list[set[int]]) -> list[float]:
    """Mean R@5, R@10, nDCG@10 and C@10, in percent."""
    table = []
    for ranking, gold in zip(rankings, golds, strict=True):
        hits = [row in gold for row in ranking.tolist()]
        gain = sum(hit / np.log2(place + 2) for place, hit in enumerate(hits))
        best = sum(1 / np.log2(place + 2) for place in range(min(10, len(gold))))
        table.append((sum(hits[:5]) / len(gold), sum(hits) / len(gold), gain / best, sum(hits) == len(gold)))
    return [float(value) * 100 for value in np.mean(np.array(table, dtype=float), axis=0)]


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        yield from map(json.loads, stream)


if __name__ == "__main__":
    main()
