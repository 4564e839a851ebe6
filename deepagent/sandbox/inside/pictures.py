"""Pictures that a cell draws, saved as files of the workspace."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as half of the interpreter
    from typing import Any


def save(cell: int, value: Any, folder: str) -> list[str]:
    """Save what is drawn: every open matplotlib figure, and a last value that knows how to look as PNG.

    Returns:
        The names of the files.
    """
    names = []
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and hasattr(pyplot, "get_fignums"):
        for number in pyplot.get_fignums():
            names.append(f"figure-{cell}-{number}.png")
            pyplot.figure(number).savefig(os.path.join(folder, names[-1]))
        pyplot.close("all")
    as_png = getattr(type(value), "_repr_png_", None)
    data = as_png(value) if as_png is not None else None
    if isinstance(data, bytes):
        names.append(f"picture-{cell}.png")
        with open(os.path.join(folder, names[-1]), "wb") as file:
            file.write(data)
    return names
