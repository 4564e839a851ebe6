"""Frames as JSON, by the C functions that the module json is made of: importing json takes as long as starting Python.

Cells cannot get in its way either, whatever they do to json.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Reading:
    """What the scanner asks its caller for; these are json's own defaults."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


def _refuse(value: Any) -> None:
    raise TypeError(f"{type(value).__name__} is no part of a frame")


_scan: Any = _json.make_scanner(_Reading())  # type: ignore[arg-type]
_encode: Any = _json.make_encoder(
    None,  # frames are built here and have no cycles
    _refuse,
    _json.encode_basestring_ascii,
    None,
    ": ",
    ", ",
    False,
    False,
    True,
)


def encode(frame: dict[str, Any]) -> bytes:
    """One line."""
    return "".join(_encode(frame, 0)).encode("ascii") + b"\n"


def decode(line: bytes | bytearray) -> dict[str, Any]:
    """The frame of a line that the host wrote."""
    frame: dict[str, Any] = _scan(line.decode("ascii"), 0)[0]
    return frame
