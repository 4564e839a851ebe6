"""How actions are spelled in the model's text. The loop is the same for every dialect."""

from deepagent.dialects.base import Abilities, Dialect, Parsed
from deepagent.dialects.tags import TagsDialect

__all__ = ["Abilities", "Dialect", "Parsed", "TagsDialect"]
