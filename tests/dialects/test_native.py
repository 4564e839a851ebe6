"""Actions as function calls: what is offered, what is read, and what small servers get wrong."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent.actions import Answer, Call, Execute, Fold, Malformed, Search
from deepagent.dialects import Abilities, NativeDialect, Parsed, TagsDialect
from deepagent.errors import ToolDefinitionError
from deepagent.tools import ToolSpec
from deepagent.transcript import FunctionCall, Message

EVERYTHING = Abilities(search=True, call=True, execute=True, fold=True, tools=True)
RECALL = ToolSpec(name="recall", description="Exact text of an earlier step.")
PRICE = ToolSpec(
    name="shop.price",
    description="Price of an article.",
    parameters={"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
)


def dialect(can: Abilities = EVERYTHING, shown: tuple[ToolSpec, ...] = ()) -> NativeDialect:
    made = NativeDialect(can)
    made.opening("Do it.", shown, [RECALL])
    return made


def said(content: str = "", *calls: tuple[str, object], reasoning: str = "") -> Message:
    """An assistant's message; arguments that are no text are written as JSON."""
    made = [
        FunctionCall(id=f"id{number}", name=name, arguments=args if isinstance(args, str) else json.dumps(args))
        for number, (name, args) in enumerate(calls)
    ]
    return Message(role="assistant", content=content, reasoning=reasoning, calls=tuple(made))


def read(message: Message, finish: str = "stop", shown: tuple[ToolSpec, ...] = ()) -> Parsed:
    parsed = dialect(shown=shown).parse(message.text, finish, message)
    assert parsed is not None
    return parsed


def test_only_what_the_run_allows_is_offered():
    opening = NativeDialect(Abilities(search=False, call=True, execute=True, fold=False, tools=True)).opening(
        "Add.", [PRICE], [RECALL]
    )
    assert [function.name for function in opening.functions] == ["execute", "recall", "shop_price"]
    assert opening.functions[-1].parameters == PRICE.parameters
    assert [message.role for message in opening.messages] == ["system", "user"]
    assert opening.messages[1].content == "Task: Add."


def test_a_tool_that_takes_the_name_of_a_built_in_function_is_refused():
    with pytest.raises(ToolDefinitionError, match="rename"):
        NativeDialect(EVERYTHING).opening("Add.", [ToolSpec(name="execute")], [RECALL])
    with pytest.raises(ToolDefinitionError, match=r"'a\.b'"):
        NativeDialect(EVERYTHING).opening("Add.", [ToolSpec(name="a_b"), ToolSpec(name="a.b")], [])


@pytest.mark.parametrize(
    ("call", "action"),
    [
        (("tool_search", {"query": "find a price"}), Search(query="find a price")),
        (("execute", {"code": "print(1)"}), Execute(code="print(1)")),
        (("execute", {"code": "```python\nprint(1)\n```"}), Execute(code="print(1)")),
        (("fold_thought", {}), Fold()),
        (("fold_thought", ""), Fold()),
        (("tool_call", {"name": "price", "arguments": {"sku": "a"}}), Call(name="price", arguments={"sku": "a"})),
        (("tool_call", {"name": "price", "arguments": '{"sku": "a"}'}), Call(name="price", arguments={"sku": "a"})),
        (("tool_call", {"name": "price"}), Call(name="price", arguments={})),
        (("recall", {"id": "3"}), Call(name="recall", arguments={"id": "3"})),
        (("never_heard_of", {"x": 1}), Call(name="never_heard_of", arguments={"x": 1})),
        (("execute", '{"code": "print(1)",}'), Execute(code="print(1)")),
    ],
)
def test_each_function_is_an_action(call, action):
    parsed = read(said("I act.", call))
    assert (parsed.thought, parsed.actions, parsed.answers) == ("I act.", (action,), ("id0",))


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (("execute", {"code": " "}), "'code'"),
        (("execute", {}), "'code'"),
        (("tool_search", {"query": 3}), "'query'"),
        (("tool_call", {"arguments": {}}), "name of a tool"),
        (("tool_call", {"name": "a", "arguments": [1]}), "object of arguments"),
        (("execute", "no json at all"), "no JSON object"),
        (("execute", "[1, 2]"), "no JSON object"),
        (("", {}), "no name"),
    ],
)
def test_what_cannot_be_read_says_what_is_wrong(call, problem):
    parsed = read(said("", call))
    assert isinstance(parsed.action, Malformed)
    assert problem in parsed.action.problem
    assert parsed.answers == ("id0",), "every call is answered"


def test_several_calls_of_one_reply_are_several_actions_in_order():
    parsed = read(said("", ("recall", {"id": "1"}), ("tool_search", {"query": "x"}), ("execute", "{")))
    assert [action.kind for action in parsed.actions] == ["call", "search", "malformed"]
    assert parsed.answers == ("id0", "id1", "id2")


def test_a_call_that_was_cut_off_before_its_arguments_is_not_made_without_any():
    assert isinstance(read(said("", ("recall", "")), finish="length").action, Malformed)


@pytest.mark.parametrize("nested", ['{"sku": ' + "[" * 300 + "]" * 300 + "}", '{"a":' * 300 + "1" + "}" * 300])
def test_arguments_that_no_log_could_write_are_refused(nested):
    assert isinstance(read(said("", ("recall", nested))).action, Malformed)
    assert isinstance(TagsDialect(EVERYTHING).parse(f"<tool_call>{nested}</tool_call>", "stop").action, Malformed)


def test_what_tools_say_of_themselves_can_always_be_logged_and_named():
    deep: dict = {"type": "object"}
    for _ in range(300):
        deep = {"type": "object", "properties": {"x": deep}}
    tools = [
        ToolSpec(name="é" * 90, description="half \ud83e", parameters={"properties": {"x": {"description": "\ud83e"}}}),
        ToolSpec(name="deep", parameters=deep),
    ]
    made = NativeDialect(EVERYTHING)
    functions = made.opening("Do it.", tools, []).functions
    for function in functions:
        function.model_dump_json()
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", function.name)
    message = said("", (functions[-2].name, {}))
    assert made.parse("", "stop", message).action == Call(name="é" * 90, arguments={}), "called back by its own name"


def test_a_program_that_was_cut_off_is_never_run_in_part():
    parsed = read(said("", ("execute", '{"code": "delete(everything) if')), finish="length")
    assert isinstance(parsed.action, Malformed)
    assert "cut off" in parsed.action.problem


def test_a_reply_without_a_call_is_the_answer():
    assert read(said("It is 42.")).action == Answer(text="It is 42.")
    assert read(said(r"\boxed{42}")).action == Answer(text="42")
    assert read(said("<think>6 times 7</think>42")).action == Answer(text="42")
    assert read(said("42", reasoning="6 times 7")).action == Answer(text="42")
    assert read(said("```python\nprint(42)\n```")).action.kind == "answer", "code can be what was asked for"


def test_an_empty_reply_is_no_answer_and_leaves_no_trace():
    for message in (said(), said("  "), said("", reasoning="hm"), said("<think>hm</think>")):
        parsed = read(message)
        assert isinstance(parsed.action, Malformed)
        assert parsed.discard


def test_a_reply_that_was_cut_off_before_any_call_is_no_answer():
    assert isinstance(read(said("Let me think about"), finish="length").action, Malformed)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "shop_price", "arguments": {"sku": "a"}}',
        'I look.\n```json\n{"name": "shop_price", "arguments": {"sku": "a"}}\n```',
        '<tool_call>\n{"name": "shop.price", "arguments": {"sku": "a"}}\n</tool_call>',
    ],
)
def test_a_call_written_as_text_is_read_where_the_server_parses_none(text):
    parsed = read(said(text), shown=(PRICE,))
    assert parsed.action == Call(name="shop.price", arguments={"sku": "a"})
    assert parsed.answers == ()


def test_json_that_calls_no_function_is_an_answer():
    text = '{"name": "Ada", "arguments": {}}'
    assert read(said(text)).action == Answer(text=text)


JUNK = st.text(max_size=40) | st.sampled_from(["tool_call", "execute", '{"code": "1"}', '{"name": "x"}', "{", "[]"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how fast values are made is no matter here
@given(st.lists(st.tuples(JUNK, JUNK), max_size=4), JUNK, JUNK, st.sampled_from(["stop", "length"]))
def test_whatever_is_written_every_call_has_one_action(calls, content, reasoning, finish):
    message = said(content, *calls, reasoning=reasoning)
    parsed = read(message, finish)
    if calls:
        assert parsed.answers == tuple(call.id for call in message.calls)
        assert len(parsed.actions) == len(calls)
    for action in parsed.actions:
        action.model_dump_json()


def test_the_model_is_told_what_code_may_import():
    can = Abilities(search=False, call=False, execute=True, fold=False, packages=("numpy",))
    (execute,) = NativeDialect(can).opening("Add.", (), ()).functions
    assert "Runs Python (standard library, numpy)" in execute.description
