"""What models and tools wrote, as text that cannot mislead whoever reads it in a page."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers.python import PythonLexer

from deepagent.unseen import UNSEEN

_COLOURED = 20_000
"""Longest code that is coloured."""
_LINES = 16
_CHARS = 2_000


def visible(text: str) -> str:
    """The text with every character that is not seen, or commands something, replaced by its number."""
    return UNSEEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text.replace("\r\n", "\n"))


def shown(value: object) -> object:
    """What templates do to everything they print: text becomes visible text; markup is our own and stays."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@dataclass(frozen=True)
class Clipped:
    """The part of a text that is shown at first.

    Attributes:
        head: the beginning.
        tail: the end, empty when all of it is in `head`.
        left_out: what lies between, in words; empty when nothing does.
    """

    head: str
    tail: str = ""
    left_out: str = ""


def clip(text: str, lines: int = _LINES, chars: int = _CHARS) -> Clipped:
    """Beginning and end of a long text; all of a short one."""
    text = text.rstrip("\n")
    if len(text) <= chars and text.count("\n") < lines:
        return Clipped(text)
    rows = text[: chars * 2].split("\n")
    head = "\n".join(rows[: lines * 3 // 4])[: chars * 3 // 4]
    end = text[len(head) :][-chars // 4 :]
    tail = "\n".join(end.split("\n")[-(lines // 4) :])
    between = len(text) - len(head) - len(tail)
    if between <= 0:
        return Clipped(text)
    missing = text.count("\n", len(head), len(text) - len(tail)) - 1
    return Clipped(head, tail, f"{missing:,} more lines" if missing > 1 else f"{between:,} more characters")


def python(code: str) -> Markup:
    """Python in colour; very long code stays plain."""
    safe = visible(code)
    if len(safe) > _COLOURED:
        return Markup.escape(safe)
    # The formatter escapes what it is given.
    return Markup(highlight(safe, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)).removesuffix("\n"))  # noqa: S704


def number(value: float) -> str:
    """1,234, and 1.2 M from a million on."""
    return f"{value / 1e6:.1f} M" if value >= 1e6 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """A time span as people say it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def share(part: float, whole: float) -> str:
    """A part in percent; a dash where there is no whole."""
    return f"{part / whole:.0%}".replace("%", " %") if whole else "–"
