"""A tool as an index keeps it: its description, and where it comes from."""

from __future__ import annotations

from pydantic import Field
from pydantic_core import PydanticSerializationError

from deepagent.actions import Frozen
from deepagent.errors import ToolDefinitionError
from deepagent.retrieval.text import tool_text
from deepagent.tools import ToolSpec


class Entry(Frozen):
    """A tool of an index.

    Attributes:
        spec: the tool; its name is unique in the index.
        id: what the catalogue that it comes from calls it; empty where that gives no ids.
        source: the tool source that can call it, spelled as on the command line; empty where there is none.
        original: its name in that source; empty where that is its name here.
    """

    spec: ToolSpec
    id: str = ""
    source: str = ""
    original: str = Field("", repr=False)

    @property
    def known_as(self) -> str:
        """Its id, or its name where it has none."""
        return self.id or self.spec.name

    @property
    def own(self) -> ToolSpec:
        """The tool under its own name, also where it had to be renamed."""
        return self.spec.model_copy(update={"name": self.original}) if self.original else self.spec

    @property
    def text(self) -> str:
        """The text by which it is found."""
        return tool_text(self.own)

    def line(self) -> bytes:
        """The entry as JSON.

        Raises:
            ToolDefinitionError: the tool's schema cannot be written as JSON.
        """
        try:
            return self.model_dump_json(exclude_defaults=True).encode()
        except (PydanticSerializationError, ValueError) as error:
            raise ToolDefinitionError(f"the schema of {self.spec.name} cannot be written as JSON: {error}") from error


def entry_of(tool: ToolSpec | Entry) -> Entry:
    """The tool as an entry."""
    return tool if isinstance(tool, Entry) else Entry(spec=tool)
