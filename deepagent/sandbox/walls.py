"""What stands between hostile code and the machine, whoever builds it.

`Walls` start a program so that it cannot harm the host; an `Enclosure` is one program that runs behind them. There
are three builders: `Bubblewrap` (the default), `Gvisor`, and `NoWalls` for those who ask for it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.pipes import Pipes

WORKSPACE = "/workspace"
PACKAGES = "/packages"


class Wall(StrEnum):
    """One wall. Tests leave single ones out, to see that an attack then succeeds; no setting can."""

    USER = "unprivileged user"
    FILES = "only the system's files are there"
    READ_ONLY = "the system is read-only"
    PROCESSES = "no processes but its own"
    SHARED_MEMORY = "no memory shared with others"
    NETWORK = "no network"
    CAPABILITIES = "no capabilities"
    NAMESPACES = "no further namespaces"
    ENVIRONMENT = "empty environment"
    DESCRIPTORS = "no inherited descriptors"
    SYSTEM_CALLS = "filter of system calls"
    MEMORY = "memory limit"
    COUNT = "process limit"
    DISK = "disk limit"
    DEATH = "death with the host"


class Enclosure(Protocol):
    """A program behind walls, and what the host can do with it."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The outermost process; all others end with it."""
        ...

    def ready(self) -> None:
        """The program has started; called once, before the methods below."""
        ...

    def interrupt(self) -> None:
        """Send SIGINT to the program and to what it started."""
        ...

    def kill(self) -> None:
        """Begin to end the program and all that it started; its pipes are closed."""
        ...

    def workspace(self) -> int:
        """An fd of the folder that the program works in; the files live as long as it is open."""
        ...

    def cause(self) -> str:
        """Why the program may have been killed, in words, or nothing."""
        ...

    def remove(self) -> bool:
        """Clear away, after the end, what was made on the host for it.

        Returns:
            Whether it is gone; False while a process of it is still dying.
        """
        ...


class Walls(Protocol):
    """A way to enclose programs."""

    def setup(self, config: SandboxConfig) -> dict[str, Any]:
        """What the program inside is told of its limits and of the packages that it may import."""
        ...

    def enclose(self, program: Sequence[str], pipes: Pipes, config: SandboxConfig) -> Enclosure:
        """Start a program.

        Args:
            program: an absolute path and its arguments.
            pipes: its stdin, stdout and stderr, and where the builder tells about it.
            config: its limits.

        Raises:
            SandboxUnavailableError: a program that this needs is missing.
            ConfigError: a package that the config names is not installed.
            OSError: it could not be started.
        """
        ...
