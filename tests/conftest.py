import subprocess
import sys
from pathlib import Path

import pytest

from deepagent.sandbox import bubblewrap

ROOT = Path(__file__).parent.parent


@pytest.fixture
def walls() -> None:
    """Skips the test, and says why, where code cannot be confined."""
    if (reason := bubblewrap.check()) is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, as a package index would serve it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.whl"))
