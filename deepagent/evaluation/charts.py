"""Charts as SVG: numbers in, markup out. Every text is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from deepagent.actions import Frozen
from deepagent.evaluation.statistics import Estimate

_ROW = 26
_LABEL = 230
_WIDE = 420
_HIGH = 140
_BINS = 30


class Bar(Frozen):
    """One bar: its label, and how long it is with which interval; None leaves it empty."""

    label: str
    estimate: Estimate | None


def bars(rows: Sequence[Bar]) -> str:
    """Horizontal bars with 95 % intervals. They reach from 0 to 1, or to what the longest one needs."""
    most = max((row.estimate.high for row in rows if row.estimate), default=1.0)
    scale = _WIDE / max(1.0, most)
    height = _ROW * len(rows) + 22
    parts = [_row(number, row, scale) for number, row in enumerate(rows)]
    ticks = [_tick(share * max(1.0, most), scale, height) for share in (0, 0.25, 0.5, 0.75, 1)]
    return _svg(_LABEL + _WIDE + 90, height, [*ticks, *parts], "bars with 95 % intervals")


def _row(number: int, row: Bar, scale: float) -> str:
    top, middle = number * _ROW + 4, number * _ROW + 4 + (_ROW - 8) / 2
    label = f'<text x="{_LABEL - 8}" y="{middle + 4:.1f}" class="label">{escape(_short(row.label))}</text>'
    if row.estimate is None:
        return f'{label}<text x="{_LABEL + 4}" y="{middle + 4:.1f}">no value</text>'
    one = row.estimate
    length, low, high = (max(0.0, value) * scale for value in (one.mean, one.low, one.high))
    said = f"{one.mean:.3f}, 95 % interval {one.low:.3f} to {one.high:.3f}, {one.tasks} tasks"
    return (
        f"<g><title>{escape(row.label)}: {said}</title>{label}"
        f'<rect x="{_LABEL}" y="{top}" width="{length:.1f}" height="{_ROW - 8}" class="bar"/>'
        f'<path d="M{_LABEL + low:.1f} {middle:.1f}H{_LABEL + high:.1f}'
        f'M{_LABEL + low:.1f} {middle - 4:.1f}v8M{_LABEL + high:.1f} {middle - 4:.1f}v8" class="whisker"/>'
        f'<text x="{_LABEL + max(length, high) + 6:.1f}" y="{middle + 4:.1f}">{_number(one.mean, 1)}</text></g>'
    )


def _tick(value: float, scale: float, height: int) -> str:
    x = _LABEL + value * scale
    return (
        f'<path d="M{x:.1f} 0V{height - 18}" class="grid"/>'
        f'<text x="{x:.1f}" y="{height - 4}" class="tick">{_number(value, 0)}</text>'
    )


def histogram(values: Sequence[float], unit: str) -> str:
    """How often values occur, in at most 30 bins of equal width."""
    if not values:
        return ""
    top = max(values)
    whole = all(float(value).is_integer() for value in values)
    width = max(1, math.ceil((top + 1) / _BINS)) if whole else (top or 1.0) / _BINS
    counts = [0] * (int(top / width) + 1)
    for value in values:
        counts[int(value / width)] += 1
    most, step = max(counts), _WIDE / len(counts)
    parts = []
    for number, count in enumerate(counts):
        tall = count / most * (_HIGH - 30)
        first, last = number * width, (number + 1) * width - (1 if whole else 0)
        span = f"{first:g}" if whole and width == 1 else f"{first:.3g} to {last:.3g}"
        parts.append(
            f"<g><title>{span} {escape(unit)}: {count} episodes</title>"
            f'<rect x="{40 + number * step:.1f}" y="{_HIGH - 20 - tall:.1f}" width="{max(1.0, step - 1):.1f}" '
            f'height="{tall:.1f}" class="bar"/></g>'
        )
    ends = f'<text x="40" y="{_HIGH - 4}">0</text><text x="{40 + _WIDE}" y="{_HIGH - 4}" class="label">'
    ends += f"{len(counts) * width:.3g} {escape(unit)}</text>"
    ends += f'<text x="34" y="12" class="label">{most}</text>'
    return _svg(_WIDE + 60, _HIGH, [*parts, ends], f"histogram of {unit}")


def _svg(width: float, height: float, parts: Sequence[str], about: str) -> str:
    inside = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(about)}">{inside}</svg>'
    )


def _number(value: float, digits: int) -> str:
    """A share in percent, what goes beyond 1 as a number."""
    return f"{value:.{digits}%}" if value <= 1 else f"{value:.3g}"


def _short(label: str) -> str:
    return label if len(label) <= 34 else f"{label[:33]}\N{HORIZONTAL ELLIPSIS}"
