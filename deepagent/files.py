"""The files of one run as its tools see them: attachments, what tools kept, what code wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from deepagent.errors import ToolFailedError, UsageError
from deepagent.runs.log import FILE, RunLog
from deepagent.sandbox import Kernel

_MOST_BYTES = 100_000_000
_MOST_KEPT = 500
_NAME_CHARS = 80
_NO_NAME = re.compile(r"[^\w.+-]+")


class Files:
    """See `RunFiles`. What tools keep is an artifact of the run, so it is there after the run too.

    Args:
        attachments: content by name.
        log: keeps files.
        kernel: has the workspace of the code.
    """

    def __init__(self, attachments: Mapping[str, bytes], log: RunLog, kernel: Kernel) -> None:
        self._given = dict(attachments)
        self._kept = log.files()
        self._log = log
        self._kernel = kernel

    def names(self) -> list[str]:
        """See `RunFiles`."""
        return [*self._given, *self._kept]

    def read(self, name: str) -> bytes | None:
        """See `RunFiles`. The workspace comes first: code may have changed its copy of what was kept."""
        if name in self._given:
            return self._given[name]
        found = self._kernel.read_file(name, most_bytes=_MOST_BYTES)
        if isinstance(found, str):
            raise ToolFailedError(f"{name} cannot be read: it is {found}")
        return self._kept.get(name) if found is None else found

    def keep(self, name: str, data: bytes) -> str:
        """See `RunFiles`. The name is made plain; a number tells it from other content of the same name."""
        if len(self._kept) >= _MOST_KEPT:
            raise ToolFailedError(f"the run has kept {_MOST_KEPT} files; go on without more of them")
        path = PurePosixPath(_NO_NAME.sub("_", PurePosixPath(name).name).lstrip(".")[-_NAME_CHARS:] or "file")
        wanted, number = str(path), 2
        while self._held(wanted) not in (None, data):
            wanted, number = f"{path.stem}_{number}{path.suffix}", number + 1
        self._kept[wanted] = data
        self._log.keep(f"{FILE}{wanted}", data)
        return wanted

    def _held(self, name: str) -> bytes | None:
        return self._kept.get(name, self._given.get(name))


def read_files(paths: Sequence[Path]) -> dict[str, bytes]:
    """Files that a task comes with, by name.

    Raises:
        UsageError: one cannot be read, or two have one name.
    """
    files: dict[str, bytes] = {}
    for path in paths:
        if path.name in files:
            raise UsageError(f"two attachments are named {path.name!r}; rename one of them")
        try:
            files[path.name] = path.read_bytes()
        except OSError as error:
            raise UsageError(f"attachment {path}: {error.strerror}; give files that can be read") from error
    return files
