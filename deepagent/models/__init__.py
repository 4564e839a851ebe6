"""Models: one protocol, and what stands behind it."""

from deepagent.models.base import Generated, Model, Sampling, Usage, Watch
from deepagent.models.embedded import EmbeddedModel
from deepagent.models.http import HttpModel
from deepagent.models.resolve import open_model
from deepagent.models.scripted import ScriptedModel

__all__ = [
    "EmbeddedModel",
    "Generated",
    "HttpModel",
    "Model",
    "Sampling",
    "ScriptedModel",
    "Usage",
    "Watch",
    "open_model",
]
