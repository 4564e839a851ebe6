"""Tool search: which of many tools serves a wish in plain words."""

from deepagent.retrieval.catalogue import read_catalogue
from deepagent.retrieval.encoders import Encoder, HashEncoder, SentenceEncoder
from deepagent.retrieval.entries import Entry
from deepagent.retrieval.index import Hit, ToolIndex

__all__ = ["Encoder", "Entry", "HashEncoder", "Hit", "SentenceEncoder", "ToolIndex", "read_catalogue"]
