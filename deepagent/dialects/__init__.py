"""How actions are spelled in the model's text. The loop is the same for every dialect."""

from deepagent.dialects.base import Abilities, Dialect, Opening, Parsed
from deepagent.dialects.native import NativeDialect
from deepagent.dialects.tags import TagsDialect, spelled
from deepagent.dialects.text import TextDialect

__all__ = ["Abilities", "Dialect", "NativeDialect", "Opening", "Parsed", "TagsDialect", "TextDialect", "spelled"]
