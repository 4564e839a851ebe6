"""How events are spelled on disk: what one append wrote is one compressed JSON array, with a checksum.

A reply and the action in it, or a result and the text that is shown of it, say the same thing twice; compressed
together they take the room of one. The dictionary holds what all events have in common, so that short ones shrink too.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from deepagent.runs.events import Event

_EVENTS: TypeAdapter[tuple[Event, ...]] = TypeAdapter(tuple[Event, ...])
_LEVEL = 1
_DICTIONARY = (
    b'"kind":"noticed","text":"the limit of "kind":"tool_returned","step":,"call":1,"result":"","structured":false,'
    b'"found":[],"simulated":false}]{"kind":"tool_called","name":"","arguments":{"'
    b'"action":{"kind":"answer","text":""}"action":{"kind":"search","query":""}"action":{"kind":"malformed","problem":"'
    b'"found":[{"name":"","score":0.,"dense":0.,"lexical":0.}"error":"tool_failed","repeats":"artifact":"r'
    b'[{"kind":"observed","step":1,"observation":{"text":"","found":[],"simulated":false},"segment":{"kind":'
    b'"observation","text":"\\n<tool_call_result>\\n</execute_result>\\n</tool_call_result>\\n","token_ids":[],"message":'
    b'{"role":"tool","content":"","reasoning":"","calls":[],"answers":"","images":[]}},'
    b'"seconds":0.0,"dropped":false,"begun":"","idle":0}]'
    b'[{"kind":"replied","step":1,"generated":{"segment":{"kind":"generated","text":"<execute>\\n</execute>'
    b'<tool_call>{\\"name\\": \\"\\", \\"arguments\\": {\\"}}</tool_call>","token_ids":[]},"finish":"stop","usage":'
    b'{"prompt_tokens":,"cached_tokens":,"completion_tokens":,"estimated":false},"seconds":0.}},'
    b'{"kind":"intended","step":,"thought":"","action":{"kind":"call","name":"","arguments":{"'
    b'"action":{"kind":"execute","code":"print("}}]'
)
"""Part of the format: a change makes old records unreadable."""


def pack(events: Sequence[Event]) -> bytes:
    """The events of one append as bytes.

    Raises:
        PydanticSerializationError: one holds what JSON cannot say.
    """
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    return packer.compress(to_json(events, exclude_none=True)) + packer.flush()


def unpack(body: bytes | str) -> tuple[Event, ...]:
    """The events again; a text is one event of format 1.

    Raises:
        ValueError: the record is damaged, or holds what this version does not know.
    """
    try:
        return _EVENTS.validate_json(f"[{body}]" if isinstance(body, str) else _decompressed(body))
    except ValidationError as error:
        raise ValueError(f"{error.error_count()} problems in it, first: {error.errors()[0]['msg']}") from error


def _decompressed(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS, _DICTIONARY)
    try:
        text = unpacker.decompress(body)
    except zlib.error as error:
        raise ValueError(f"the record is damaged ({error})") from error
    if not unpacker.eof:
        raise ValueError("the record is cut short")
    return text
