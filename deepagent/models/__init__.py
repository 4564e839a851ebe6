"""Models: one protocol, and what stands behind it."""

from deepagent.models.base import Generated, Model, Sampling, Usage, Watch
from deepagent.models.scripted import ScriptedModel

__all__ = ["Generated", "Model", "Sampling", "ScriptedModel", "Usage", "Watch"]
