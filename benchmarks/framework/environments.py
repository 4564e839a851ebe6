"""Virtual environments of the clients: one each, with pinned versions, made when they are first needed."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

PINS = Path(__file__).parent / "peers"
FOLDER = Path(__file__).parent.parent / ".peers"


def python(name: str | None) -> Path:
    """The interpreter of an environment, made first where it is missing or its pins have changed."""
    if name is None:
        return Path(sys.executable)
    pins, folder = PINS / f"{name}.txt", FOLDER / name
    installed = folder / "installed.txt"
    interpreter = folder / "bin" / "python"
    if not installed.exists() or installed.read_text() != pins.read_text():
        print(f"installing {pins.name} into {folder}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(pins)]
        subprocess.run(command, check=True)
        installed.write_text(pins.read_text())
    return interpreter
