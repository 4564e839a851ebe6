"""Tables in Markdown of what was run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.success.bench import CLASS, HALF, TURNS
from benchmarks.success.failures import FAILURES
from benchmarks.success.roster import OURS
from deepagent.evaluation import statistics
from deepagent.evaluation.results import EpisodeResult, Evaluation
from deepagent.evaluation.store import ResultStore
from deepagent.evaluation.summary import clusters

Part = tuple[Evaluation, str, list[EpisodeResult]]
"""An evaluation's results of one half."""


def tell(results: ResultStore, into: Path | None) -> None:
    """Print the tables, or write them between the marks of a file: `<!-- NAME -->` and `<!-- /NAME -->`."""
    parts = _parts(results)
    tables = {"success": _success(parts), "failures": _failures(parts), "pairs": _pairs(parts)}
    if into is None:
        print("\n\n".join(tables.values()))
        return
    text = into.read_text()
    for name, table in tables.items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    into.write_text(text)


def _parts(results: ResultStore) -> list[Part]:
    found = []
    for evaluation, _ in sorted(results.evaluations(), key=lambda one: (one[0].setup.benchmark, one[0].at)):
        own = results.results(evaluation.id)
        for half in sorted({one.tags[HALF] for one in own}):
            found.append((evaluation, half, [one for one in own if one.tags[HALF] == half]))
    return found


def _success(parts: Sequence[Part]) -> str:
    header = (
        "set", "who", "half", "tasks", "solved, 95 % interval", "solved per 1,000 prompt tokens",
        "prompt tokens per solved task", "cached", "turns per task", "seconds per solved task",
    )  # fmt: skip
    return _table(header, (_row(*part) for part in parts))


def _row(evaluation: Evaluation, half: str, results: Sequence[EpisodeResult]) -> Sequence[object]:
    tokens = sum(one.usage.prompt_tokens for one in results)
    cached = sum(one.usage.cached_tokens for one in results)
    seconds = sum(one.seconds for one in results)
    solved = sum(_solved(one) for one in results)
    headline = statistics.mean(clusters(results, evaluation.metrics[0].name))
    share = f"{headline.mean:.0%} ({headline.low:.0%} to {headline.high:.0%})" if headline else ""
    turns = sum(int(one.tags[TURNS]) for one in results) / len(results)
    return (
        evaluation.setup.benchmark, _who(evaluation), half, len({one.task for one in results}), share,
        f"{1000 * solved / tokens:.3f}" if tokens else "", f"{tokens / solved:,.0f}" if solved else "none solved",
        f"{cached / tokens:.0%}" if tokens else "", f"{turns:.1f}", f"{seconds / solved:.0f}" if solved else "",
    )  # fmt: skip


def _failures(parts: Sequence[Part]) -> str:
    rows = []
    for evaluation, half, results in parts:
        counts = Counter(one.tags[CLASS] for one in results if not _solved(one))
        rows.append((evaluation.setup.benchmark, _who(evaluation), half, *(counts[name] or "" for name in FAILURES)))
    return _table(("set", "who", "half", *FAILURES), rows)


def _pairs(parts: Sequence[Part]) -> str:
    """Our loop beside each other one, on the tasks that both have."""
    header = (
        "set",
        "half",
        "who",
        "tasks",
        "their success",
        "ours",
        "difference, 95 % interval",
        "better",
        "worse",
        "p",
    )
    rows = []
    for ours, half, own in parts:
        for other, other_half, theirs in parts:
            same = (ours.setup.benchmark, half) == (other.setup.benchmark, other_half)
            if _who(ours) != OURS or _who(other) == OURS or not same:
                continue
            metric = ours.metrics[0].name
            pair = statistics.paired(clusters(theirs, metric), clusters(own, metric))
            if pair is not None:
                interval = f"{pair.difference:+.0%} ({pair.low:+.0%} to {pair.high:+.0%})"
                rows.append(
                    (
                        ours.setup.benchmark, half, _who(other), pair.tasks, f"{pair.first:.0%}", f"{pair.second:.0%}",
                        interval, pair.better, pair.worse, f"{pair.p:.2f}",
                    )
                )  # fmt: skip
    return _table(header, rows)


def _who(evaluation: Evaluation) -> str:
    return evaluation.setup.baseline or OURS


def _solved(result: EpisodeResult) -> bool:
    return not result.tags[CLASS]


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
