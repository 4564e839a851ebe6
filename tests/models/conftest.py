import pytest

from deepagent.models import failures


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without the long waits between them."""
    monkeypatch.setattr(failures, "FIRST_DELAY", 0.01)
