"""What a host that was killed left behind, cleared away by the next one.

Processes die with their host. What may stay is an empty folder: of a control group, or of a sandbox that needs files
on the host. Each is named after the process that made it, so whoever comes next knows whether it is still used.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

_NAME = re.compile(r"deepagent-(\d+)-(\d+)-\d+(-\w+)?")
_numbers = itertools.count(1)


def name_of_ours() -> str:
    """A new name that tells which process made what bears it."""
    pid = os.getpid()
    return f"deepagent-{pid}-{_born(pid)}-{next(_numbers)}"


def folder_of_ours() -> Path:
    """A new folder for temporary files that only this user can enter."""
    return Path(tempfile.mkdtemp(prefix=f"{name_of_ours()}-"))


def clear(parents: Iterable[Path]) -> list[Path]:
    """Remove what processes that have ended left in these folders.

    Returns:
        What was removed.
    """
    gone = []
    for parent in parents:
        for entry in _entries(parent):
            match = _NAME.fullmatch(entry.name)
            if match and _born(int(match.group(1))) != match.group(2) and entry.stat().st_uid == os.geteuid():
                gone.append(entry)
                with contextlib.suppress(OSError):  # a control group is removed as it is, its files cannot be
                    entry.rmdir()
                shutil.rmtree(entry, ignore_errors=True)
    return gone


@functools.cache
def clear_once(parents: Iterable[Path]) -> None:
    """Do so at the first start of a sandbox in this process."""
    clear(parents)


def _entries(parent: Path) -> list[Path]:
    try:
        return [entry for entry in parent.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except OSError:
        return []


def _born(pid: int) -> str:
    """When a process started, in ticks since the machine did; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""
