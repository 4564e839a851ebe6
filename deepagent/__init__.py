"""One stream of thought that finds its own tools.

from deepagent import Agent, tool

@tool
def orders(customer_id: int) -> list[dict]:
    '''Orders of one customer: sku and price in USD.'''
    ...

run = Agent(tools=[orders]).run_sync("What did customer 7 order?")
print(run.answer)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepagent.agent import Agent, Delta, Run
    from deepagent.budget import Limits
    from deepagent.config import AgentConfig
    from deepagent.errors import DeepAgentError, OperatorError, ToolError, UsageError
    from deepagent.memory.config import FoldConfig
    from deepagent.models.base import Sampling
    from deepagent.models.scripted import ScriptedModel
    from deepagent.runs.store import RunStore
    from deepagent.sandbox import SandboxConfig
    from deepagent.tools import Tool, ToolSpec
    from deepagent.toolsets.functions import tool

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentConfig",
    "DeepAgentError",
    "Delta",
    "FoldConfig",
    "Limits",
    "OperatorError",
    "Run",
    "RunStore",
    "Sampling",
    "SandboxConfig",
    "ScriptedModel",
    "Tool",
    "ToolError",
    "ToolSpec",
    "UsageError",
    "tool",
]

_HOMES = {
    "Agent": "agent",
    "AgentConfig": "config",
    "DeepAgentError": "errors",
    "Delta": "agent",
    "FoldConfig": "memory.config",
    "Limits": "budget",
    "OperatorError": "errors",
    "Run": "agent",
    "RunStore": "runs.store",
    "Sampling": "models.base",
    "SandboxConfig": "sandbox",
    "ScriptedModel": "models.scripted",
    "Tool": "tools",
    "ToolError": "errors",
    "ToolSpec": "tools",
    "UsageError": "errors",
    "tool": "toolsets.functions",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing the package costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'deepagent' has no attribute {name!r}")
    value = getattr(import_module(f"deepagent.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
