"""The consoles that commands write to. Colour only on a terminal; `NO_COLOR` is honoured."""

from __future__ import annotations

import re

from rich.console import Console
from rich.text import Text

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str, style: str = "") -> Text:
    """Text from a model or tool: no markup is read from it, and no control sequence reaches the terminal."""
    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n")), style=style)
