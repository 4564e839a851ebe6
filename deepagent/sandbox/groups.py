"""Control groups: limits on all processes of a sandbox together, where the system lets us set them.

Limits of single processes are not enough: thirty processes of a gigabyte each are thirty gigabytes. Root can make
groups nearly everywhere, an ordinary user where a part of the tree was delegated to it, as systemd does for services.
Linux has two interfaces: the older one with a tree for each controller, and the unified one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.leftovers import name_of_ours
from deepagent.sandbox.walls import Wall

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")

_PERIOD = 100_000  # microseconds, over which processor time is counted
_BUILDERS = 2  # processes of bubblewrap that live as long as the sandbox
_WALLS = {"memory": Wall.MEMORY, "pids": Wall.COUNT, "cpu": None}
_OUT_OF_MEMORY = re.compile(r"^oom_kill [1-9]", re.MULTILINE)


@dataclass(frozen=True)
class Group:
    """The group of one sandbox.

    Attributes:
        folders: where it is in the tree, or in each tree.
    """

    folders: tuple[Path, ...]

    @classmethod
    def make(
        cls, config: SandboxConfig, *, without: frozenset[Wall] = frozenset(), root: Path = ROOT, own: Path = OWN
    ) -> Self | None:
        """Make a group with the limits of a config; None where that is not allowed.

        Args:
            config: the limits.
            without: walls to leave out.
            root: where the trees are mounted.
            own: the file that says which groups this process is in.
        """
        wanted = [controller for controller, wall in _WALLS.items() if wall not in without]
        unified = (root / "cgroup.controllers").exists()
        limits = _limits(config, unified)
        made: list[Path] = []
        try:
            for parent, controllers in _parents(root, own, unified, wanted):
                made.append(parent / name_of_ours())
                made[-1].mkdir()
                for controller in controllers:
                    for file, text in limits[controller].items():
                        (made[-1] / file).write_text(text, encoding="ascii")
        except OSError:
            cls(tuple(made)).remove()
            return None
        return cls(tuple(made)) if made else None

    @property
    def joins(self) -> list[str]:
        """The files by which a process joins: it writes its pid."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def out_of_memory(self) -> bool:
        """Whether a process of the group was killed because the memory was used up."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    if _OUT_OF_MEMORY.search((folder / name).read_text(encoding="ascii")):
                        return True
        return False

    def remove(self) -> bool:
        """Remove it, unless a process of it still lives. Returns whether it is gone."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        return not any(folder.exists() for folder in self.folders)


def leftovers(root: Path = ROOT, own: Path = OWN) -> Iterator[Path]:
    """The folders in which groups are made, to look for groups whose host has died."""
    unified = (root / "cgroup.controllers").exists()
    for parent, _ in _parents(root, own, unified, list(_WALLS)):
        yield parent


def _limits(config: SandboxConfig, unified: bool) -> dict[str, dict[str, str]]:
    memory = str((config.memory_mb + 2 * config.workspace_mb) * 2**20)
    count = {"pids.max": str(config.processes + _BUILDERS)}
    quota = int(config.cpus * _PERIOD)
    if unified:
        cpu = {"cpu.max": f"{quota} {_PERIOD}"}
        return {"memory": {"memory.max": memory, "memory.oom.group": "1"}, "pids": count, "cpu": cpu}
    cpu = {"cpu.cfs_period_us": str(_PERIOD), "cpu.cfs_quota_us": str(quota)}
    return {"memory": {"memory.limit_in_bytes": memory}, "pids": count, "cpu": cpu}


def _parents(root: Path, own: Path, unified: bool, wanted: list[str]) -> Iterator[tuple[Path, list[str]]]:
    """Folders in which a group can be made, and the controllers of each."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        here = root / path.lstrip("/")
        if unified and not names:
            # A group that holds processes cannot share out its controllers; the one above it often can.
            for parent in (here, here.parent):
                if os.access(parent, os.W_OK) and _shares(parent, wanted):
                    yield parent, wanted
                    return
        for name in names.split(",") if not unified else ():
            if name in wanted and os.access(root / name / path.lstrip("/"), os.W_OK):
                yield root / name / path.lstrip("/"), [name]


def _shares(parent: Path, wanted: list[str]) -> bool:
    """Whether groups below this one have the controllers, or can be given them."""
    control = parent / "cgroup.subtree_control"
    with contextlib.suppress(OSError):
        if set(wanted) <= set(control.read_text(encoding="ascii").split()):
            return True
        control.write_text(" ".join(f"+{name}" for name in wanted), encoding="ascii")
        return True
    return False
