from hypothesis import given
from hypothesis import strategies as st

from deepagent.sandbox.capture import Capture


def test_text_within_the_limit_is_kept_as_it_is():
    capture = Capture(100)
    capture.feed("grün ".encode())
    capture.feed(b"leaf")
    assert capture.take() == "grün leaf"
    assert capture.take() == ""


def test_the_cut_is_stated():
    capture = Capture(100)
    capture.feed(b"a" * 500 + b"b" * 500)
    assert capture.take() == "a" * 50 + "\n[... 900 bytes cut ...]\n" + "b" * 50


def test_memory_is_bounded_however_much_comes():
    capture = Capture(100)
    for _ in range(1000):
        capture.feed(b"x" * 65536)
    assert len(capture._head) + len(capture._tail) < 65536 * 2
    assert capture.take() == "x" * 50 + f"\n[... {65536 * 1000 - 100:,} bytes cut ...]\n" + "x" * 50


@given(st.lists(st.binary(max_size=700), max_size=20), st.integers(100, 300))
def test_any_bytes_give_a_bounded_text_whose_ends_are_the_ends(chunks, limit):
    capture = Capture(limit)
    for chunk in chunks:
        capture.feed(chunk)
    whole = b"".join(chunks).decode(errors="replace")
    text = capture.take()
    if len(whole) <= limit:
        assert text == whole
    else:
        assert len(text) <= limit + 50
        half = limit // 2
        assert text[:half] == whole[:half]
        assert text[-half:] == whole[-half:]
