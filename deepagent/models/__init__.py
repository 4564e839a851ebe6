"""Models: one protocol, and what stands behind it. The kinds are loaded when they are opened."""

from deepagent.models.base import Generated, Model, Sampling, Usage, Watch
from deepagent.models.resolve import open_model
from deepagent.models.scripted import ScriptedModel

__all__ = [
    "Generated",
    "Model",
    "Sampling",
    "ScriptedModel",
    "Usage",
    "Watch",
    "open_model",
]
