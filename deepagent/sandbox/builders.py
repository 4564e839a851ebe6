"""Which walls a configuration asks for."""

from __future__ import annotations

from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.walls import Walls


def builder(config: SandboxConfig) -> Walls:
    """What builds them."""
    if config.unsafe:
        from deepagent.sandbox.nowalls import NoWalls

        return NoWalls()
    if config.walls == "gvisor":
        from deepagent.sandbox.gvisor import Gvisor

        return Gvisor()
    from deepagent.sandbox.bubblewrap import Bubblewrap

    return Bubblewrap()
