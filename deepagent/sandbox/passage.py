"""What root does before it becomes nobody: joins control groups, and shows nobody files that it cannot reach.

A Python or a package in root's home is out of nobody's reach. It is shown in another place, in a private mount
namespace that ends with the sandbox. All of this happens by `exec` in one process: were there a parent between it and
the host, run as root without capabilities, the kernel would not let its death kill the children of nobody.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepagent.errors import SandboxUnavailableError

_MOUNT_POINTS = ("/mnt", "/media", "/srv", "/tmp")  # noqa: S108 - used in a mount namespace of our own


class Passage:
    """The way from this process to an unprivileged one.

    Args:
        groups: files that a process joins a control group by.
        drop: whether root becomes nobody.
    """

    def __init__(self, groups: Iterable[str], *, drop: bool) -> None:
        self._drop = drop and os.geteuid() == 0
        self._steps = [f"echo $$ > {shlex.quote(file)}" for file in groups]
        self._shown: dict[str, str] = {}
        self._mounts: list[str] = []

    def show(self, folder: str) -> None:
        """Make sure that a folder can be reached."""
        if self._drop and folder not in self._shown and not _open_to_all(folder):
            self._shown[folder] = _mount_points()[len(self._shown)]

    def mount_memory(self, folder: str, megabytes: int, *, owner: int) -> None:
        """Put a file system of limited size over a folder; only what goes this way sees it."""
        options = f"size={megabytes}m,mode=700,uid={owner},gid={owner}"
        self._mounts.append(f"{shlex.quote(find('mount'))} -t tmpfs -o {options} tmpfs {shlex.quote(folder)}")

    def place(self, path: str) -> str:
        """Where a path is found after the passage."""
        for folder, place in self._shown.items():
            if path == folder or path.startswith(f"{folder}/"):
                return place + path[len(folder) :]
        return path

    def command(self, program: Sequence[str]) -> list[str]:
        """The command line that goes the way and becomes the program."""
        steps = [*self._steps, *self._mounts]
        if self._drop:
            program = [find("setpriv"), "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", *program]
        if self._shown:
            mount = shlex.quote(find("mount"))
            steps += [f"{mount} --bind {shlex.quote(folder)} {place}" for folder, place in self._shown.items()]
        if not steps:
            return list(program)
        script = " && ".join([*steps, 'exec "$0" "$@"'])
        shell = [find("sh"), "-c", script, *program]
        return [find("unshare"), "--mount", "--", *shell] if self._shown or self._mounts else shell


def find(program: str) -> str:
    """The absolute path of a program that builds walls.

    Raises:
        SandboxUnavailableError: it is not installed, or this is not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise unavailable(f"this needs Linux, not {sys.platform}")
    path = shutil.which(program)
    if path is None:
        raise unavailable(f"{program} is not installed")
    return os.path.abspath(path)


def unavailable(reason: str) -> SandboxUnavailableError:
    """The error for a machine that cannot confine code, with what to do about it."""
    words = " ".join(reason.split())[:300] or "the walls failed without a word"
    return SandboxUnavailableError(
        f"code cannot be confined here: {words}; install bubblewrap 0.8 or newer (apt-get install bubblewrap) and "
        "allow unprivileged user namespaces, or pass --unsafe-execute to run code without walls"
    )


@functools.cache
def _mount_points() -> list[str]:
    """Folders that exist, and under which nothing lies that is to be shown."""
    ours = [os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *sys.path)]
    return [
        point
        for point in _MOUNT_POINTS
        if os.path.isdir(point) and not any(path.startswith(f"{point}/") for path in ours)
    ]


@functools.cache
def _open_to_all(folder: str) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    if os.stat(folder).st_mode & wanted != wanted:
        return False
    return all(os.stat(parent).st_mode & stat.S_IXOTH for parent in Path(folder).parents)
