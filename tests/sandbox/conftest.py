from collections.abc import AsyncIterator

import pytest

from deepagent.sandbox import Kernel, SandboxConfig, bubblewrap


@pytest.fixture
def walls() -> None:
    """Skips the test, and says why, where code cannot be confined."""
    if (reason := bubblewrap.check()) is not None:
        pytest.skip(reason)


@pytest.fixture
async def kernel(walls: None) -> AsyncIterator[Kernel]:
    async with Kernel(SandboxConfig(seconds=10)) as kernel:
        yield kernel
