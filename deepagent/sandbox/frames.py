"""What the worker may say, checked before it is believed.

Code in the worker can write to the protocol pipe itself, so each line is judged as if the model had written it:
it has a size limit and a schema, and it grants nothing that the model could not have asked for.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from deepagent.actions import Frozen

FRAME_BYTES = 8 * 2**20
"""Largest frame in either direction."""
MOST_PICTURES = 100


class Ready(Frozen):
    """The interpreter has started and its limits are set."""

    kind: Literal["ready"]


class ToolCall(Frozen):
    """The cell calls a tool; it may call others before the result is there."""

    kind: Literal["call"]
    id: int
    name: str
    arguments: dict[str, Any]


class Done(Frozen):
    """A cell has ended.

    Attributes:
        value: its last value, as text.
        error: what ended it.
        answer: the answer to the task, where it gave one.
        pictures: names of the files that show what it drew.
    """

    kind: Literal["done"]
    id: int
    value: str | None
    error: str | None
    error_kind: Literal["exception", "syntax"] | None
    answer: str | None
    pictures: list[str] = Field(max_length=MOST_PICTURES)


Frame = Annotated[Ready | ToolCall | Done, Field(discriminator="kind")]

_FRAME: TypeAdapter[Frame] = TypeAdapter(Frame)


class ForgedFrameError(Exception):
    """A line that the worker program would not have written."""


def parse_frame(line: bytes | bytearray) -> Frame:
    """Read one line from the worker.

    Raises:
        ForgedFrameError: it is not JSON, too deep, or not a frame.
    """
    try:
        frame = _FRAME.validate_json(line, strict=True)
    except ValidationError as error:
        raise ForgedFrameError(error.errors(include_url=False, include_input=False)[0]["msg"]) from error
    if isinstance(frame, ToolCall) and not _is_finite(frame.arguments):
        raise ForgedFrameError("a number that JSON does not have")
    return frame


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
