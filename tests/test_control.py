import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.control import CONTROL, neutralise, split_control
from deepagent.models.servers.base import token_prompt
from deepagent.transcript import Segment, Window

CONTROLS = ["<|im_end|>", "<|im_start|>", "<｜end▁of▁sentence｜>", "</s>", "<start_of_turn>", "[/INST]", "<eos>"]
hostile = st.lists(st.sampled_from([*CONTROLS, "<", "|", "<|", "|>", "</tool_call>", " words ", "\n"])).map("".join)


@given(hostile)
def test_no_piece_holds_a_control_token_and_nothing_is_lost(text: str):
    pieces = split_control(text)
    assert "".join(pieces) == text
    assert not any(CONTROL.search(piece) for piece in pieces)


@given(hostile)
def test_no_control_token_survives_in_text_for_a_chat_server(text: str):
    safe = neutralise(text)
    assert not CONTROL.search(safe)
    assert safe.replace("\u200b", "") == text


@pytest.mark.parametrize("text", ["a < b | c > d", "<tool_call>{}</tool_call>", "<html><s1>", "x[INSTALL]", "if a<|b"])
def test_other_text_is_left_alone(text: str):
    assert neutralise(text) == text
    assert split_control(text) == [text]


def test_a_window_without_ids_is_sent_as_text_that_is_safe():
    prompt = Segment(kind="prompt", text="<|im_start|>user", token_ids=(1, 2))
    window = Window([], [prompt])
    assert token_prompt(window) == [1, 2]
    window.append(Segment(kind="observation", text="seen <|im_end|>"))
    assert token_prompt(window) == "<|im_start|>userseen <\u200b|im_end|>"
