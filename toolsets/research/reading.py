"""Reading files of any kind as text. What parses foreign files does so in a sandbox, one for each file."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from deepagent.errors import ConfigError, SandboxError, ToolFailedError, ToolTimeoutError
from deepagent.sandbox import Kernel, SandboxConfig
from deepagent.toolsets.research.kinds import Kind, decoded, kind_of
from deepagent.toolsets.research.readers.main import IN, MEMBER, OUT

MOST_BYTES = 100_000_000
"""Of a file that is read."""

_SECONDS = 40.0
_MEMORY_MB = 1024
_ROOM_MB = 64
"""What a reader may write: the text, or a member of an archive."""

_READERS = "readers.zip"
_CODE = """
import sys
sys.path.insert(0, {zip!r})
from readers.main import main
main({kind!r}, {part!r}, {url!r})
"""
_PACKAGES: dict[str, tuple[str, ...]] = {
    "html": ("trafilatura", "lxml_html_clean"),
    "pdf": ("pypdf",),
    "xlsx": ("openpyxl", "defusedxml"),
    "docx": ("python-docx",),
    "pptx": ("python-pptx",),
    "image": ("pillow",),
    "shown": ("pillow",),
}
"""What each kind needs, as `pip install` takes it; all of it is in the extra `research`."""


class Part(BaseModel):
    """A page, a sheet, a slide, or the whole."""

    name: str
    text: str


class Document(BaseModel):
    """A file as text; see `readers.document`. What comes out of a sandbox is checked before it is believed."""

    model_config = ConfigDict(extra="forbid")

    about: str
    parts: list[Part] = []
    notes: list[str] = []
    links: list[tuple[str, str]] = []

    @property
    def text(self) -> str:
        """All of it, under the names of the parts where there are several."""
        if len(self.parts) == 1:
            return self.parts[0].text
        return "\n\n".join(f"--- {part.name} ---\n{part.text}" for part in self.parts)


class Reader:
    """Reads files.

    Args:
        sandbox: its walls are used; the limits are the reader's own.
    """

    def __init__(self, sandbox: SandboxConfig) -> None:
        self._sandbox = sandbox

    async def read(self, data: bytes, name: str, *, part: str = "", claimed: str = "", url: str = "") -> Document:
        """The text of a file.

        Args:
            data: its content.
            name: its name, for what the content does not tell.
            part: the sheet, page, slide or member of an archive that is wanted; by default all.
            claimed: the media type that a server named.
            url: where a page came from.

        Raises:
            ToolFailedError: it is of no kind that can be read, damaged, or a library is missing.
            ToolTimeoutError: reading takes too long.
        """
        made = await self._once(data, name, part, claimed, url)
        if isinstance(made, Document):
            return made
        inner = part or name.rpartition(".")[0] or name
        found = await self._once(made, inner)  # an archive within an archive is listed
        if isinstance(found, bytes):
            raise ToolFailedError(f"{inner} is compressed once more; it is not unpacked twice")
        return found

    async def _once(self, data: bytes, name: str, part: str = "", claimed: str = "", url: str = "") -> Document | bytes:
        """The document, or what was packed in the file."""
        kind = kind_of(data, name, claimed)
        if kind == "text":
            return Document(about=f"text of {len(data):,} bytes", parts=[Part(name="text", text=decoded(data))])
        if kind in _REFUSED:
            why = _REFUSED[kind].format(size=len(data), head=data[:8].hex())
            raise ToolFailedError(f"{name} cannot be read: {why}")
        return await self._confined(data, name, kind, part, url)

    async def shown(self, data: bytes, name: str) -> bytes:
        """An image as a PNG of a size that models look at.

        Raises:
            ToolFailedError: it is no image, or too large a one.
        """
        if kind_of(data, name) != "image":
            raise ToolFailedError(f"{name} is no image")
        made = await self._confined(data, name, "shown", "", "")
        if isinstance(made, Document):
            raise ToolFailedError(f"{name} cannot be shown: its reader made no picture of it")
        return made

    async def _confined(self, data: bytes, name: str, kind: str, part: str, url: str) -> Document | bytes:
        files = {_READERS: _readers(), IN: data}
        room = _ROOM_MB + sum(map(len, files.values())) // 2**20 + 1
        config = SandboxConfig(
            seconds=_SECONDS, memory_mb=_MEMORY_MB, workspace_mb=room, packages=_PACKAGES.get(kind, ()),
            walls=self._sandbox.walls, unsafe=self._sandbox.unsafe,
        )  # fmt: skip
        try:
            async with Kernel(config, attachments=files) as kernel:
                done = await kernel.execute(_CODE.format(zip=_READERS, kind=kind, part=part, url=url))
                left = (await kernel.collect()).files
        except ConfigError as error:
            raise ToolFailedError(f"reading {name} needs the extra: pip install 'deepagent[research]'") from error
        except SandboxError as error:
            raise ToolFailedError(f"{name} cannot be read: files are only opened in a sandbox, and {error}") from error
        if MEMBER in left:
            return left[MEMBER]
        if done.error_kind == "timeout":
            raise ToolTimeoutError(f"{name} was not read within {_SECONDS:g} s; ask for a part of it")
        return _document(left.get(OUT), name, done.error or "")


_REFUSED: dict[Kind, str] = {
    "audio": "it is a recording, and no transcriber is configured",
    "old office": "it is in a format of Office before 2007; convert it to xlsx, docx or pptx first",
    "binary": "it is no text and of no known kind ({size:,} bytes that begin with {head})",
}


def _document(data: bytes | None, name: str, error: str) -> Document:
    """What the sandbox left, if it is a document."""
    try:
        found: Any = json.loads(data or b"")
        if isinstance(found, dict) and isinstance(found.get("unreadable"), str):
            raise ToolFailedError(f"{name} cannot be read: {found['unreadable']}")
        return Document.model_validate(found)
    except (ValueError, ValidationError, RecursionError) as problem:
        last = " ".join(error.splitlines()[-1:])[:300]
        why = last or "its reader ended without a word"
        raise ToolFailedError(f"{name} cannot be read: {why}") from problem


@cache
def _readers() -> bytes:
    """The readers' modules as a zip that Python imports from."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file in resources.files("deepagent.toolsets.research.readers").iterdir():
            if file.name.endswith(".py"):
                archive.writestr(f"readers/{file.name}", file.read_text(encoding="utf-8"))
    return out.getvalue()
