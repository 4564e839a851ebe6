"""Which process works on a run, and whether it is still alive.

No wall clock is asked, since clocks are set back: a process is known by its id together with the moment at which it
started, in ticks since the machine booted. A process that this one cannot see (in another container) says that it is
alive by a heartbeat on the clock that counts from the boot.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from deepagent.actions import Frozen

BEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0
"""A process that cannot be seen is given up when it has said nothing for so long."""

_held: set[str] = set()
"""Tokens of the runs that this process works on."""


class Owner(Frozen):
    """A process at work on one run.

    Attributes:
        pid: its id.
        born: when it started, in clock ticks since the boot.
        boot: which boot of which machine.
        space: in which space the process id counts.
        token: tells the runs of one process apart.
    """

    pid: int
    born: int
    boot: str
    space: str
    token: str


def claim() -> Owner:
    """This process, as the owner of one more run."""
    token = secrets.token_hex(8)
    _held.add(token)
    pid = os.getpid()
    return Owner(pid=pid, born=_born(pid) or 0, boot=_boot(), space=_space(), token=token)


def give_up(owner: Owner) -> None:
    """This process works on that run no more."""
    _held.discard(owner.token)


def alive(owner: Owner, beat: float) -> bool:
    """Whether that process still works on its run.

    Args:
        owner: the process.
        beat: its last heartbeat, on the clock of `heartbeat`.
    """
    if owner.boot != _boot():
        return False
    if owner.space != _space():
        return heartbeat() - beat < SILENT_SECONDS
    if owner.pid == os.getpid() and owner.born == _born(owner.pid):
        return owner.token in _held
    return owner.born == _born(owner.pid)


def heartbeat() -> float:
    """Seconds since the boot, which all processes of the machine share and nobody can set."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _born(pid: int) -> int | None:
    """When a process started; None when there is none, or only what is left of one that has died."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _born_elsewhere(pid)
    return None if fields[0] in "ZX" else int(fields[19])


def _born_elsewhere(pid: int) -> int | None:
    """The same where there is no /proc: 0 for whatever has this id."""
    if os.path.exists("/proc/self/stat"):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
