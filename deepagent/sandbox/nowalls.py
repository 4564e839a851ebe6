"""No walls: a plain child process, for those who ask for it with their eyes open."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepagent.sandbox.bubblewrap import ENVIRONMENT
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.leftovers import folder_of_ours
from deepagent.sandbox.packages import files_of
from deepagent.sandbox.pipes import Pipes


class NoWalls:
    """Starts programs as plain child processes."""

    def setup(self, config: SandboxConfig) -> dict[str, Any]:
        """See `Walls`."""
        return {
            "memory": config.memory_mb * 2**20,
            "file_size": config.workspace_mb * 2**20,
            "processes": None,  # outside the walls the limit would count all of the user's processes
            "open_files": None,
            "packages": sorted({os.path.dirname(path) for path in files_of(config.packages).values()}),
            "die_with_parent": True,
        }

    def enclose(self, program: Sequence[str], pipes: Pipes, config: SandboxConfig) -> Unenclosed:
        """See `Walls`."""
        folder = folder_of_ours()
        stdin, stdout, stderr = pipes.inside
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command line
                program,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=ENVIRONMENT | {"HOME": str(folder), "TMPDIR": str(folder), "MPLCONFIGDIR": str(folder / ".config")},
                start_new_session=True,
            )
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Unenclosed(process, folder)


class Unenclosed:
    """A plain child process and its folder; see `Enclosure`."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder

    def ready(self) -> None:
        """See `Enclosure`."""

    def interrupt(self) -> None:
        """See `Enclosure`."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """See `Enclosure`."""
        self._signal(signal.SIGKILL)
        if self.process.poll() is None:  # it may have left its process group
            self.process.kill()

    def workspace(self) -> int:
        """See `Enclosure`."""
        return os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def cause(self) -> str:
        """See `Enclosure`."""
        return ""

    def remove(self) -> bool:
        """See `Enclosure`."""
        shutil.rmtree(self._folder, ignore_errors=True)
        return not self._folder.exists()

    def _signal(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
