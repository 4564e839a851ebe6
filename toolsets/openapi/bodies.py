"""Request bodies: JSON, forms, multipart, text and files."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from deepagent.errors import InvalidArgumentsError
from deepagent.toolsets.openapi import styles
from deepagent.toolsets.openapi.styles import Spelling

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
FILE_NOTE = "A file: its text, or a data: URL with base64."


@dataclass(frozen=True)
class Body:
    """How a body is written.

    Args:
        argument: name of the tool's argument that holds it.
        media: its media type.
        required: whether a call without it is wrong.
        fields: how the fields of a form are spelled, where the document says so.
        kinds: media types of the parts of a multipart body, where the document says so.
        files: fields of a multipart body that are files.
    """

    argument: str
    media: str
    required: bool = False
    fields: dict[str, Spelling] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    files: frozenset[str] = frozenset()


def preferred(media: list[str]) -> str | None:
    """The media type to write, of those that an operation takes: JSON first, what is only text last."""

    def rank(kind: str) -> int:
        base = kind.partition(";")[0].strip().lower()
        if base == "application/json" or base.endswith("+json"):
            return 0
        return {FORM: 1, MULTIPART: 2, "*/*": 3}.get(base, 5 if "xml" in base else 4)

    return min(media, key=rank, default=None)


def is_json(media: str) -> bool:
    """Whether a media type is JSON; a wildcard is written as JSON too."""
    base = media.partition(";")[0].strip().lower()
    return base in ("application/json", "*/*", "application/*", "text/json") or base.endswith("+json")


def write(body: Body, value: Any) -> tuple[bytes, str]:
    """The bytes of a body, and its media type.

    Raises:
        InvalidArgumentsError: the value cannot be written so.
    """
    base = body.media.partition(";")[0].strip().lower()
    if is_json(base):
        media = "application/json" if "*" in base else body.media
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), media
    if base in (FORM, MULTIPART):
        if not isinstance(value, dict):
            raise InvalidArgumentsError(f"{body.argument}: must be an object of fields")
        return _form(body, value) if base == FORM else _multipart(body, value)
    if isinstance(value, str):
        return as_bytes(value)[0], body.media
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), body.media


def as_bytes(value: str) -> tuple[bytes, str | None]:
    """The content of a file that is given as text or as `data:` URL, and its media type where that says one."""
    if not value.startswith("data:") or "," not in value:
        return value.encode("utf-8", "replace"), None
    head, _, data = value[5:].partition(",")
    try:
        content = base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
    except binascii.Error as error:
        raise InvalidArgumentsError("a data: URL holds no valid base64") from error
    media = head.removesuffix(";base64")
    return content, media if media.isprintable() and media.isascii() else None


def _form(body: Body, value: dict[str, Any]) -> tuple[bytes, str]:
    pieces: list[str] = []
    for name, one in value.items():
        how = body.fields.get(name) or styles.spelling(name, "query", None, None)
        if not body.fields.get(name) and isinstance(one, dict):
            how = styles.spelling(name, "query", None, None, media="application/json")
        pieces += styles.query(how, one)
    return "&".join(pieces).encode("ascii"), FORM


def _multipart(body: Body, value: dict[str, Any]) -> tuple[bytes, str]:
    boundary = f"part-{secrets.token_hex(16)}"
    parts: list[bytes] = []
    for name, one in value.items():
        for single in one if isinstance(one, list) else [one]:
            head, content = _part(body, name, single)
            parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"{MULTIPART}; boundary={boundary}"


def _part(body: Body, name: str, value: Any) -> tuple[str, bytes]:
    kind = body.kinds.get(name)
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = f'Content-Disposition: form-data; name="{quoted}"'
    if isinstance(value, str) and name in body.files:
        content, told = as_bytes(value)
        media = kind or told or "application/octet-stream"
        return f'{head}; filename="{quoted}"\r\nContent-Type: {media}', content
    if isinstance(value, (dict, list)):
        kind = kind or "application/json"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return head + (f"\r\nContent-Type: {kind}" if kind else ""), text.encode("utf-8", "replace")
