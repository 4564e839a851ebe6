from collections.abc import AsyncIterator

import pytest

from deepagent.sandbox import Kernel, SandboxConfig


@pytest.fixture
async def kernel(walls: None) -> AsyncIterator[Kernel]:
    async with Kernel(SandboxConfig(seconds=10)) as kernel:
        yield kernel
