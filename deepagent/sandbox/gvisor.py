"""The walls that gVisor builds: a kernel of its own between code and the machine's.

Where bubblewrap lets code talk to the machine's kernel through a filter, `runsc` answers system calls itself, so that
a defect of the machine's kernel is out of reach. That costs time and memory for each interpreter and system call.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepagent.errors import SandboxUnavailableError
from deepagent.sandbox.bubblewrap import ENVIRONMENT, TEMPORARY, python_files
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.groups import Group
from deepagent.sandbox.leftovers import folder_of_ours
from deepagent.sandbox.packages import files_of
from deepagent.sandbox.passage import Passage, find
from deepagent.sandbox.pipes import Pipes
from deepagent.sandbox.walls import PACKAGES, WORKSPACE, Wall

_NOBODY = 65534
_CONTAINER = "kernel"  # its name, in a state folder of its own
_SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_KERNEL_MB = 128  # what gVisor itself needs


class Gvisor:
    """Builds the walls with `runsc`."""

    def setup(self, config: SandboxConfig) -> dict[str, Any]:
        """See `Walls`."""
        return {
            "memory": config.memory_mb * 2**20,
            "file_size": config.workspace_mb * 2**20,
            "processes": config.processes,
            "open_files": 256,
            "packages": [PACKAGES] if config.packages else [],
            "die_with_parent": False,
        }

    def enclose(self, program: Sequence[str], pipes: Pipes, config: SandboxConfig) -> InGvisor:
        """See `Walls`."""
        runsc = [shutil.which("runsc") or "", "--network=none", "--ignore-cgroups"]
        if not runsc[0]:
            raise SandboxUnavailableError(
                "runsc is not installed: apt-get install runsc, or set sandbox.walls otherwise"
            )
        if os.geteuid() != 0:  # it can run so, but then neither limits the workspace nor protects its own root
            raise SandboxUnavailableError("gVisor's walls need root: run as root, or set sandbox.walls to bubblewrap")
        # Its own threads are many, so processes cannot be counted from outside.
        with_kernel = config.model_copy(update={"memory_mb": config.memory_mb + _KERNEL_MB})
        group = Group.make(with_kernel, without=frozenset({Wall.COUNT}))
        folder = folder_of_ours()
        runsc.append(f"--root={folder / 'state'}")
        passage = Passage(group.joins if group else (), drop=False)
        try:
            _make_bundle(folder, program, config)
            passage.mount_memory(str(folder / "workspace"), config.workspace_mb, owner=_NOBODY)
            run = [*runsc, "run", f"--bundle={folder}", _CONTAINER]
            stdin, stdout, stderr = pipes.inside
            process = subprocess.Popen(  # noqa: S603 - our own command line
                passage.command([find("setpriv"), "--pdeathsig", "KILL", "--", *run]),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "TMPDIR": str(folder)},
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            if group is not None:
                group.remove()
            raise
        return InGvisor(process, runsc, folder, group)


class InGvisor:
    """A program that runs on gVisor; see `Enclosure`."""

    def __init__(self, process: subprocess.Popen[bytes], runsc: list[str], folder: Path, group: Group | None) -> None:
        self.process = process
        self._runsc = runsc
        self._folder = folder
        self._group = group

    def ready(self) -> None:
        """See `Enclosure`."""

    def interrupt(self) -> None:
        """See `Enclosure`."""
        if self.process.poll() is None:
            kill = [*self._runsc, "kill", "--all", _CONTAINER, "SIGINT"]
            with contextlib.suppress(subprocess.TimeoutExpired):  # then it is killed
                subprocess.run(kill, capture_output=True, timeout=2, check=False)  # noqa: S603 - our own command line

    def kill(self) -> None:
        """See `Enclosure`. Its processes die with the first one."""
        if self.process.poll() is None:
            self.process.kill()

    def workspace(self) -> int:
        """See `Enclosure`."""
        seen = f"/proc/{self.process.pid}/root{self._folder}/workspace"  # where it is mounted
        return os.open(seen, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def cause(self) -> str:
        """See `Enclosure`."""
        return "all its memory was used" if self._group is not None and self._group.out_of_memory() else ""

    def remove(self) -> bool:
        """See `Enclosure`."""
        shutil.rmtree(self._folder, ignore_errors=True)
        return (self._group is None or self._group.remove()) and not self._folder.exists()


def _make_bundle(folder: Path, program: Sequence[str], config: SandboxConfig) -> None:
    """Write what `runsc` needs: a description, and a root in which everything is mounted."""
    root = folder / "root"
    for name in ("root", "state", "workspace"):
        (folder / name).mkdir()
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": TEMPORARY, "type": "tmpfs", "source": "tmpfs", "options": [f"size={config.workspace_mb}m"]},
        _bound(str(folder / "workspace"), WORKSPACE, "rw"),
        _bound("/usr", "/usr"),
    ]
    for name in _SYSTEM_FOLDERS:
        path = Path("/", name)
        if path.is_symlink():
            (root / name).symlink_to(os.readlink(path))
        elif path.is_dir():
            mounts.append(_bound(str(path), str(path)))
    passage = Passage((), drop=False)  # gVisor reads files as the user that it was started by
    mounts += [_bound(path, path) for path in python_files(passage)]
    mounts += [_bound(path, f"{PACKAGES}/{name}") for name, path in files_of(config.packages).items()]
    limit = {"type": "RLIMIT_NPROC", "hard": config.processes, "soft": config.processes}
    description = {
        "ociVersion": "1.0.2",
        "hostname": "sandbox",
        "root": {"path": str(root), "readonly": True},
        "mounts": mounts,
        "process": {
            "args": list(program),
            "cwd": WORKSPACE,
            "env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
            "user": {"uid": _NOBODY, "gid": _NOBODY},
            "capabilities": {},
            "noNewPrivileges": True,
            "rlimits": [limit],
        },
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }
    (folder / "config.json").write_text(json.dumps(description), encoding="utf-8")


def _bound(source: str, destination: str, access: str = "ro") -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": source, "options": ["rbind", access]}
