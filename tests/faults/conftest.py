"""How many faults were injected is told at the end: a programme that injects none would pass too."""

from collections.abc import Callable, Iterator

import pytest

_COUNTS = pytest.StashKey[list[str]]()


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[Callable[[int, str], None]]:
    """Tells how many faults a test injected, and checks that there were any."""
    told = request.config.stash.setdefault(_COUNTS, [])
    before = len(told)

    def count(number: int, what: str) -> None:
        assert number > 0
        told.append(f"{number:>6} {what}")

    yield count
    assert len(told) > before or request.session.testsfailed


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_COUNTS, []):
        terminalreporter.write_line(line)
