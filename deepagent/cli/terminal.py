"""The streams that commands write to. Colour only on a terminal; `NO_COLOR` is honoured."""

from __future__ import annotations

import io
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import BinaryIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepagent.errors import UsageError
from deepagent.unseen import UNSEEN

_WIDE = 240

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def prepare_streams() -> None:
    """Open what the caller left closed; show '?' for a character that the terminal's encoding lacks."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (open until the end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def plain(text: str, style: str = "") -> Text:
    """Text from a model or tool: no markup is read from it, and no control sequence reaches the terminal."""
    return Text(UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n")), style=style)


def say(text: str) -> None:
    """One line on stderr, never wrapped."""
    stderr.print(plain(text), soft_wrap=True)


def say_table(table: Table) -> None:
    """A table on stdout, as wide as it needs to be where neither a terminal nor COLUMNS sets a width."""
    narrow = stdout.is_terminal or "COLUMNS" in os.environ
    (stdout if narrow else Console(width=_WIDE, highlight=False)).print(table)


@contextmanager
def json_lines() -> Iterator[Callable[[str], None]]:
    """Give what writes a line of JSON to stdout, in UTF-8. Whatever tools print meanwhile goes to stderr."""
    out = sys.stdout.buffer

    def write(line: str) -> None:
        out.write(line.encode() + b"\n")
        out.flush()

    with redirect_stdout(sys.stderr):
        yield write


@contextmanager
def interruptible(left: str) -> Iterator[None]:
    """On Ctrl-C, say what is left and exit with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted; {left}")
        raise typer.Exit(130) from None


@contextmanager
def written(output: Path | None) -> Iterator[Callable[[str], None]]:
    """What writes text in UTF-8 to standard output, or to a new file, which is there once all of it is written."""

    def write(piece: str) -> None:
        file.write(piece.encode("utf-8", "replace"))

    if output is None:
        file: BinaryIO = sys.stdout.buffer
        yield write
        file.flush()
        return
    if output.exists():
        raise UsageError(f"{output} exists already; give another name, or remove it first")
    part = output.with_name(f"{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            try:
                yield write
            except BaseException:
                part.unlink()
                raise
        part.replace(output)
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}; give another file") from error
