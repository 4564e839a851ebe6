"""What the model sees of a tool, and how its arguments are checked."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.errors import InvalidArgumentsError, ToolFailedError
from deepagent.tools import ToolSpec, check_arguments, render_result

ORDERS = ToolSpec(
    name="orders",
    description="Orders of one customer.",
    parameters={
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "default": 10},
            "customer": {"type": "integer", "description": "id of the customer"},
            "sort": {"type": "string", "enum": ["price", "date"]},
            "page": {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]},
        },
        "required": ["customer"],
    },
)


def test_the_card_is_a_python_signature_with_required_parameters_first():
    assert ORDERS.signature.startswith("orders(customer: int, limit: int = 10, sort: 'price'|'date' = None")
    assert "customer: id of the customer" in ORDERS.card
    assert "page:  {size: int}" in ORDERS.card


@pytest.mark.parametrize(("name", "identifier"), [("get-user", "get_user"), ("2fa", "_2fa"), ("class", "_class")])
def test_any_name_has_a_python_identifier(name, identifier):
    assert ToolSpec(name=name).identifier == identifier


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'customer' is a required property"),
        ({"customer": "Ada"}, "customer: 'Ada' is not of type 'integer'"),
        ({"customer": 1, "sort": "size"}, "'size' is not one of ['price', 'date']"),
        ({"customer": 1, "colour": "red"}, "unknown argument 'colour'"),
        ({"customer": 1, "page": {}}, "page: 'size' is a required property"),
    ],
)
def test_a_violation_is_told_in_words_with_the_signature(arguments, words):
    with pytest.raises(InvalidArgumentsError) as caught:
        check_arguments(ORDERS, arguments)
    assert words in str(caught.value)
    assert "Signature: orders(customer: int" in str(caught.value)


def test_quoted_numbers_are_accepted_where_only_a_number_fits():
    assert check_arguments(ORDERS, {"customer": "7", "sort": "price"}) == {"customer": 7, "sort": "price"}


def test_text_stays_text_where_text_is_allowed():
    spec = ToolSpec(name="f", parameters={"type": "object", "properties": {"a": {"type": ["string", "integer"]}}})
    assert check_arguments(spec, {"a": "7"}) == {"a": "7"}


@pytest.mark.parametrize("schema", [{"type": 7}, {"$ref": "http://127.0.0.1:9/never-fetched"}])
def test_a_broken_schema_is_the_tools_failure(schema):
    spec = ToolSpec(name="f", parameters={"type": "object", "properties": {"a": schema}})
    with pytest.raises(ToolFailedError, match="schema of f cannot be used"):
        check_arguments(spec, {"a": 1})


def test_results_are_text_or_json():
    assert render_result("as it is") == "as it is"
    assert render_result({"a": [1, None]}) == '{"a": [1, null]}'
    assert render_result({2, 1}) == "[1, 2]"


def test_no_result_is_too_strange_to_show():
    cyclic: list[object] = []
    cyclic.append(cyclic)
    for value in (cyclic, float("nan"), b"\xff", object(), {(1, 2): 3}, "\ud800"):
        render_result(value).encode("utf-8")


@given(
    st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=4)
)
def test_checking_raises_nothing_but_its_own_errors(arguments):
    with contextlib.suppress(InvalidArgumentsError):
        check_arguments(ORDERS, arguments)


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": 7},
        {"properties": {"a": 7, "b": {"enum": 3, "description": ["x"], "anyOf": {}, "type": {"no": 1}}}, "required": 5},
        {"properties": {"a": {"type": "array", "items": 3}, "b": {"properties": {"c": 1}, "required": "c"}}},
        {"properties": {"a": {"description": "d" * 10**6, "default": "x" * 10**6}}},
    ],
)
def test_a_hostile_schema_still_has_a_card_of_bounded_size(parameters):
    spec = ToolSpec(name="f", description="d" * 10**6, parameters=parameters)
    assert len(spec.card) < 10_000
    assert spec.signature.startswith("f(")
