import pytest

from deepagent.sandbox import bubblewrap


@pytest.fixture
def walls() -> None:
    """Skips the test, and says why, where code cannot be confined."""
    if (reason := bubblewrap.check()) is not None:
        pytest.skip(reason)
