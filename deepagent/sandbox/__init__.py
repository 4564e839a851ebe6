"""A persistent Python interpreter behind walls, for code that a model wrote.

`Kernel` runs cells in it; the run's tools are plain functions there and are called on the host.
"""

from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.kernel import Execution, Kernel, ToolCaller

__all__ = ["Execution", "Kernel", "SandboxConfig", "ToolCaller"]
