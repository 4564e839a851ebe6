"""Tokens of each step as bars: what the server had cached, what it had to compute, what the model wrote."""

from __future__ import annotations

from dataclasses import dataclass

from deepagent.models.base import Usage
from deepagent.viewer.timeline import Timeline

MOST_BARS = 160
HEIGHT = 100.0


@dataclass(frozen=True)
class Bar:
    """Some steps in a row, as one bar; sizes in tokens are those of the largest among them.

    Attributes:
        first: number of the first step.
        last: number of the last step.
        x: left edge; a bar is 1 wide.
        parts: height and upper edge of what was cached, computed and written, from below; the chart is 100 high.
        folded: a fold happened after the bar before this one.
    """

    first: int
    last: int
    x: float
    usage: Usage
    parts: tuple[tuple[float, float], ...]
    folded: bool


@dataclass(frozen=True)
class Chart:
    """All bars.

    Attributes:
        top: tokens at the upper edge.
    """

    bars: tuple[Bar, ...]
    top: int


def chart(timeline: Timeline) -> Chart | None:
    """The chart of a run; None before its first reply."""
    steps = [step for step in timeline.steps if step.usage.prompt_tokens or step.usage.completion_tokens]
    if not steps:
        return None
    each = -(-len(steps) // MOST_BARS)
    groups = [steps[start : start + each] for start in range(0, len(steps), each)]
    largest = [max((step.usage for step in group), key=_size) for group in groups]
    top = max(_size(usage) for usage in largest)
    folds = [fold.index for fold in timeline.folds]
    bars = []
    for place, (group, usage) in enumerate(zip(groups, largest, strict=True)):
        earlier = groups[place - 1][-1].index if place else 0
        folded = any(earlier < index < group[-1].index for index in folds)
        bars.append(Bar(group[0].number, group[-1].number, place, usage, _parts(usage, top), folded))
    return Chart(tuple(bars), top)


def _size(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens


def _parts(usage: Usage, top: int) -> tuple[tuple[float, float], ...]:
    parts, upper = [], HEIGHT
    for tokens in (usage.cached_tokens, usage.prompt_tokens - usage.cached_tokens, usage.completion_tokens):
        height = tokens * HEIGHT / top
        upper -= height
        parts.append((round(height, 2), round(upper, 2)))
    return tuple(parts)
