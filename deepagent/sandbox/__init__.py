"""A persistent Python interpreter behind walls, for code that a model wrote.

`Kernel` runs cells in it; the run's tools are plain functions there and are called on the host.
"""

from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.kernel import Execution, Kernel, ToolCaller
from deepagent.sandbox.pool import Pool

__all__ = ["Execution", "Kernel", "Pool", "SandboxConfig", "ToolCaller"]
