"""Tables in Markdown of what was measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from benchmarks.memory.baselines import METHODS
from benchmarks.memory.endurance import EDGE, Endurance
from benchmarks.memory.retention import Fold, Recalled
from deepagent.actions import Frozen

ENDURANCE, FOLDS, RECALLED = "endurance.jsonl", "folds.jsonl", "recalled.jsonl"
Result = TypeVar("Result", bound=Frozen)
_SHOWN = (1, 2, 3, 5, 6, 10, 20, 34)
"""Folds that the tables show, where they were measured."""
_NEED_A_MODEL = ("re-summarise everything", "one-paragraph summary")
"""Methods that keep nothing at all without one."""


def tell(work: Path, into: Path | None) -> None:
    """Print the tables, or write them between the marks of a file: `<!-- NAME -->` and `<!-- /NAME -->`."""
    folds = _read(work / FOLDS, Fold, lambda one: (one.model, one.method, one.seed, one.fold))
    tables = {
        "endurance": _endurance(_read(work / ENDURANCE, Endurance, lambda one: (one.runs, one.steps))),
        "retention": _retention([one for one in folds if one.model != "scripted"]),
        "cost": _cost([one for one in folds if one.model != "none" and one.calls and one.fold in _SHOWN]),
        "recall": _recall(_read(work / RECALLED, Recalled, lambda one: (one.seed, one.planted))),
    }
    if into is None:
        print("\n\n".join(tables.values()))
        return
    text = into.read_text()
    for name, table in tables.items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    into.write_text(text)


def _read(path: Path, kind: type[Result], key: Callable[[Result], tuple[object, ...]]) -> list[Result]:
    """The results of a file; of two of the same thing the later one."""
    lines = path.read_text().splitlines() if path.exists() else []
    return list({key(one): one for one in map(kind.model_validate_json, lines)}.values())


def _endurance(results: Sequence[Endurance]) -> str:
    header = (
        "runs at once", "steps each", "folds", "largest prompt of the window",
        f"processor ms per step, first {EDGE}", f"last {EDGE}", "last / first", "memory slope, bytes per step",
        "memory grown after warm-up, MiB", "log of the second half / of the first",
    )  # fmt: skip
    rows = [
        (
            one.runs, one.steps, one.folds, f"{one.largest} of {one.window}", f"{one.first:.2f}", f"{one.last:.2f}",
            f"{one.last / one.first:.2f}", f"{one.slope:.0f}", f"{one.grown:.1f}", f"{one.log:.2f}",
        )
        for one in results
    ]  # fmt: skip
    return _table(header, rows)


def _retention(folds: Sequence[Fold]) -> str:
    numbers = [number for number in _SHOWN if any(one.fold == number for one in folds)]
    header = ("auxiliary model", "method", "tasks", *(f"after fold {number}" for number in numbers))
    rows = []
    for model, method, group in _groups(folds):
        if model == "none" and method in _NEED_A_MODEL:
            continue
        tasks = len({one.seed for one in group})
        rows.append((model, method, tasks, *(_kept([one for one in group if one.fold == at]) for at in numbers)))
    return _table(header, rows)


def _kept(folds: Sequence[Fold]) -> str:
    """Share of all that was planted, of what was planted long before, and of running totals."""
    if not folds:
        return ""
    share = sum(one.kept for one in folds) / sum(one.planted for one in folds)
    long_ago = sum(one.planted_later for one in folds)
    later = f", {sum(one.kept_later for one in folds) / long_ago:.0%} of older" if long_ago else ""
    total = f", total {fmean(one.total for one in folds):.0%}"
    invented = sum(one.invented for one in folds)
    return f"{share:.0%}{later}{total}" + (f", {invented} invented" if invented else "")


def _cost(folds: Sequence[Fold]) -> str:
    header = (
        "auxiliary model", "method", "fold", "tasks", "calls", "tokens sent", "of these cached", "tokens written",
        "seconds", "sent + written, relative to ours",
    )  # fmt: skip
    ours = {(one.model, one.seed, one.fold): one for one in folds if one.method == "ours"}
    rows = []
    for model, method, group in _groups(folds):
        for number in sorted({one.fold for one in group}):
            same = [one for one in group if one.fold == number]
            pairs = [(one, ours[key]) for one in same if (key := (one.model, one.seed, one.fold)) in ours]
            spent = sum(_spent(one) for one, _ in pairs) / max(1, sum(_spent(own) for _, own in pairs))
            rows.append(
                (
                    model, method, number, len(same), *(
                        f"{fmean(getattr(one, field) for one in same):.0f}"
                        for field in ("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds")
                    ), f"{spent:.2f}" if pairs else "",
                )
            )  # fmt: skip
    return _table(header, rows)


def _spent(fold: Fold) -> int:
    return fold.prompt_tokens + fold.completion_tokens


def _recall(results: Sequence[Recalled]) -> str:
    planted = sum(one.planted for one in results)
    if not planted:
        return ""
    row = (
        len(results), planted, f"{sum(one.by_step for one in results) / planted:.1%}",
        f"{sum(one.by_search for one in results) / planted:.1%}",
    )  # fmt: skip
    return _table(("histories", "planted", "back by step, word for word", "step among the first 3 of a search"), [row])


def _groups(folds: Sequence[Fold]) -> Iterable[tuple[str, str, list[Fold]]]:
    for model in dict.fromkeys(one.model for one in folds):
        for method in METHODS:
            group = [one for one in folds if (one.model, one.method) == (model, method)]
            if group:
                yield model, method, group


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
