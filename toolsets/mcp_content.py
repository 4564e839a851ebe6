"""What MCP servers put into results: text, and pictures, sounds and other data that are kept as files of the run."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from dataclasses import dataclass
from typing import Any

from deepagent.errors import ToolFailedError
from deepagent.secrets import Redactor
from deepagent.tools import FILES
from deepagent.unseen import UNSEEN_OR_JOINING

_MAX_DESCRIPTION = 4000
_MAX_KEPT = 20_000_000


@dataclass(frozen=True)
class Binary:
    """A piece of a result that no text can show.

    Attributes:
        what: what it is, in words.
        media: its media type, as the server says.
        data: in base64, as it came.
    """

    what: str
    media: str
    data: str

    def kept(self, called: str, redactor: Redactor) -> str:
        """Keep it as a file of the run, where there is a run. Returns what it is, and under which name.

        Args:
            called: name of the file, to which an ending is added.
            redactor: strikes credentials out of it too.
        """
        size = len(self.data) * 3 // 4
        files, about = FILES.get(), visible(f"{self.what} {self.media[:60]}, {size} bytes")
        if files is None or size > _MAX_KEPT:
            return f"[{about}]"
        try:
            data = redactor.struck_bytes(base64.b64decode(self.data))
            name = files.keep(f"{called}{mimetypes.guess_extension(self.media) or '.bin'}", data)
        except (binascii.Error, ToolFailedError) as error:
            return f"[{about}; it could not be kept: {error}]"
        return f"[{about}; kept as the file {name!r}]"


def content(block: Any) -> str | Binary:
    """One block of a result."""
    if block.type == "text":
        return str(block.text)
    if block.type == "resource":
        return contents(block.resource)
    if block.type == "resource_link":
        return visible(f"[resource {block.name}: {block.uri}]")
    return Binary(block.type, block.mime_type, block.data)


def contents(resource: Any) -> str | Binary:
    """What a resource holds."""
    text = getattr(resource, "text", None)
    if isinstance(text, str):
        return text
    return Binary(f"resource {resource.uri},", resource.mime_type or "data", resource.blob)


def visible(text: str) -> str:
    """Foreign text without characters that only models would read, and not endlessly long."""
    return UNSEEN_OR_JOINING.sub("", text[: 4 * _MAX_DESCRIPTION])[:_MAX_DESCRIPTION]
