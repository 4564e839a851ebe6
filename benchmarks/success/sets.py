"""The bench's tasks: four sets, each split in two by the hash of a task's id.

Whoever changes the loop looks at the working half alone; figures are told of the reporting half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from deepagent.evaluation.base import BenchmarkTask, Mode

Half = Literal["working", "reporting"]
HALVES: tuple[Half, ...] = ("working", "reporting")


@dataclass(frozen=True)
class TaskSet:
    """One set.

    Attributes:
        benchmark: its name among ours.
        mode: of tools.
        baseline: how our loop works on it.
        turns: replies, at most.
        context: the model's window in tokens.
        most: tasks of it that the bench has; None: all.
        quick: tasks of each half in the quick subset.
    """

    benchmark: str
    mode: Mode
    baseline: str = "deepagent"
    turns: int = 10
    context: int = 8192
    most: int | None = None
    quick: int = 4


SETS = {
    one.benchmark: one
    for one in (
        TaskSet("m3tooleval", "labelled", baseline="codeact", quick=10),
        TaskSet("toolhop", "open-set", turns=20),
        TaskSet("api_bank", "labelled", most=100),
        TaskSet("trail", "labelled", turns=40, context=4096, quick=1),
    )
}


def half_of(set_name: str, id: str) -> Half:
    """The half that a task is in, for ever."""
    return "working" if _number(set_name, id) % 2 == 0 else "reporting"


def chosen(
    tasks: Sequence[BenchmarkTask], which: TaskSet, half: Half, *, limit: int | None = None
) -> list[BenchmarkTask]:
    """Tasks of a half: in turn from each family, drawn by hash; told family by family, whose prompts share a beginning.

    Args:
        tasks: all of the benchmark.
        which: the set.
        half: of it.
        limit: how many at most.
    """
    name = which.benchmark
    drawn = sorted(tasks, key=lambda task: _number(name, task.id))[: which.most]
    families: dict[str, list[BenchmarkTask]] = {}
    for task in drawn:
        if half_of(name, task.id) == half:
            families.setdefault(_family(task), []).append(task)
    in_turn = [task for row in zip_longest(*families.values()) for task in row if task is not None]
    return sorted(in_turn[:limit], key=_family)


def _family(task: BenchmarkTask) -> str:
    return task.tags.get("family", "")


def _number(set_name: str, id: str) -> int:
    return int(hashlib.sha256(f"{set_name}/{id}".encode()).hexdigest()[:8], 16)
