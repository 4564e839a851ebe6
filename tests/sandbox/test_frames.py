import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.sandbox.frames import Done, ForgedFrameError, Ready, ToolCall, parse_frame

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_frames_are_read():
    assert parse_frame(b'{"kind": "ready"}') == Ready(kind="ready")
    call = parse_frame(b'{"kind": "call", "id": 1, "name": "f", "arguments": {"a": [1]}}')
    assert call == ToolCall(kind="call", id=1, name="f", arguments={"a": [1]})
    done = b'{"kind": "done", "id": 2, "value": "3", "error": null, "error_kind": null, "answer": null, "pictures": []}'
    ended = Done(kind="done", id=2, value="3", error=None, error_kind=None, answer=None, pictures=[])
    assert parse_frame(done) == ended


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b'{"kind": "ready"',
        b'{"kind": "ready", "extra": 1}',
        b'{"kind": "grant", "tool": "f"}',
        b'{"kind": "call", "id": "1", "name": "f", "arguments": {}}',
        b'{"kind": "call", "id": 1, "name": "f", "arguments": [1]}',
        b'{"kind": "done", "id": 2, "value": "3", "error": null, "error_kind": "timeout"}',
        b'{"kind": "call", "id": 1, "name": "f", "arguments": {"a": [NaN]}}',
        b'{"kind": "call", "id": 1, "name": "f", "arguments": {"a": 1e999}}',
        b"[" * 100_000,
        b'{"kind": "call", "id": 1, "name": "f", "arguments": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    ],
)
def test_what_the_worker_program_would_not_write_is_refused(line):
    with pytest.raises(ForgedFrameError):
        parse_frame(line)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_frame_or_are_refused(line):
    try:
        frame = parse_frame(line)
    except ForgedFrameError:
        return
    assert isinstance(frame, (Ready, ToolCall, Done))


@given(st.integers(0, 2**60), st.text(), st.dictionaries(st.text(), json_values))
def test_every_call_that_the_worker_can_write_is_read(number, name, arguments):
    line = json.dumps({"kind": "call", "id": number, "name": name, "arguments": arguments}).encode()
    assert parse_frame(line) == ToolCall(kind="call", id=number, name=name, arguments=arguments)
