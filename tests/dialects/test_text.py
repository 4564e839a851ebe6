"""Calls as plain text: a name, then the values in the order of the parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.actions import Answer, Call, Malformed, Search
from deepagent.dialects import Abilities, TextDialect
from deepagent.toolsets.functions import tool
from tests.support import answer, record


@tool
def decode(message: str, shift: int = 1) -> str:
    """Decodes."""
    return f"{message}{shift}"


@tool
def most(values: list[float]) -> float:
    """Largest."""
    return max(values)


@tool
def counts(found: dict[str, int]) -> int:
    """Sum."""
    return sum(found.values())


@tool
def view() -> str:
    """Looks."""
    return "seen"


@tool
def say(number: float, text: str) -> str:
    """Says."""
    return text


TOOLS = (decode, most, counts, view, say)
CAN = Abilities(search=True, call=True, execute=False, fold=False, tools=True)


def dialect():
    made = TextDialect(CAN)
    made.opening("x", [one.spec for one in TOOLS], ())
    return made


def read(body):
    return dialect().parse(f"I call.\n<tool_call>{body}</tool_call>", "stop").action


@pytest.mark.parametrize(
    ("body", "name", "arguments"),
    [
        ("decode, 123, 4", "decode", {"message": "123", "shift": 4}),  # digits can be a string
        ("decode, 'a b'", "decode", {"message": "a b"}),
        (" decode ,x,-2 ", "decode", {"message": "x", "shift": -2}),
        ("most, 1, 2.5, -3e2", "most", {"values": [1, 2.5, -300.0]}),
        ("counts, A, 2, C, 1", "counts", {"found": {"A": 2, "C": 1}}),
        ("view", "view", {}),
        ("say, 1.5, one, two", "say", {"number": 1.5, "text": "one, two"}),
        ("unknown, 1", "unknown", {}),
        ("decode, x, many", "decode", {"message": "x", "shift": "many"}),  # the schema says what is wrong
    ],
)
def test_values_are_read_by_the_order_and_type_of_the_parameters(body, name, arguments):
    assert read(body) == Call(name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("decode, a, 1, 2", "decode takes 2 values, and 3 were given"),
        ("view, 1", "view takes no values"),
        ("", "a call needs a tool's name"),
    ],
)
def test_what_cannot_be_a_call_says_why(body, problem):
    found = read(body)
    assert isinstance(found, Malformed)
    assert problem in found.problem


def test_other_actions_are_read_as_tags():
    assert dialect().parse("<tool_search>x</tool_search>", "stop").action == Search(query="x")
    assert dialect().parse("<answer>view, 1</answer>", "stop").action == Answer(text="view, 1")
    assert dialect().parse("<answer>4</answer><tool_call>view</tool_call>", "stop").action == Answer(text="4")


def test_a_call_that_was_cut_off_is_not_made():
    assert isinstance(dialect().parse("<tool_call>decode, ab", "length").action, Malformed)
    whole = dialect().parse("<tool_call>decode, ab", "stop")  # the server swallowed the closing tag
    assert (whole.action, whole.restore) == (Call(name="decode", arguments={"message": "ab"}), "</tool_call>")


def test_the_model_is_told_and_shown_this_spelling_only():
    opening = dialect().opening("x", [one.spec for one in TOOLS], ())
    told = "\n".join(message.content for message in opening.messages)
    assert "<tool_call>tool_name, value</tool_call>" in told
    assert "<tool_call>list_players, group B</tool_call>" in told
    assert '"arguments"' not in told


def test_tools_that_are_found_later_are_learned():
    made = TextDialect(CAN)
    made.opening("x", (), ())
    assert made.grammar([decode.spec]) is None
    parsed = made.parse("<tool_call>decode, 7</tool_call>", "stop")
    assert parsed.action == Call(name="decode", arguments={"message": "7"})


async def test_a_run_in_it(tmp_path):
    from deepagent import AgentConfig

    config = AgentConfig(encoder="hash", dialect="text", execute=False)
    script = ["<tool_call>decode, 123, 4</tool_call>", answer("1234")]
    done = await record(script, tmp_path, tools=TOOLS, config=config)
    assert done.observations == ["1234"]
    assert done.run.answer == "1234"


@given(st.text(max_size=200))
def test_whatever_stands_in_a_call_is_read_or_refused(body):
    dialect().parse(f"<tool_call>{body}</tool_call>", "stop")
