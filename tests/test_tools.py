"""What the model sees of a tool, and how its arguments are checked."""

import contextlib
import time
from typing import Any

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


def test_a_whole_object_instead_of_a_value_is_told_by_what_it_holds():
    with pytest.raises(InvalidArgumentsError, match="customer: an object with 'id', 'name' is not of type 'integer'"):
        check_arguments(ORDERS, {"customer": {"id": 7, "name": "Ada" * 100}})
    with pytest.raises(InvalidArgumentsError, match="customer: a list of 2 is not of type 'integer'"):
        check_arguments(ORDERS, {"customer": [7, 8]})


def test_none_for_an_optional_parameter_means_not_given():
    assert check_arguments(ORDERS, {"customer": 7, "limit": None, "page": None}) == {"customer": 7}
    with pytest.raises(InvalidArgumentsError, match="None is not of type 'integer'"):
        check_arguments(ORDERS, {"customer": None})
    nullable = ToolSpec(name="f", parameters={"type": "object", "properties": {"a": {"type": ["string", "null"]}}})
    assert check_arguments(nullable, {"a": None}) == {"a": None}


def test_text_stays_text_where_text_is_allowed():
    spec = ToolSpec(name="f", parameters={"type": "object", "properties": {"a": {"type": ["string", "integer"]}}})
    assert check_arguments(spec, {"a": "7"}) == {"a": "7"}


def nested(levels, inner):
    for _ in range(levels):
        inner = {"type": "array", "items": inner}
    return inner


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": 7}, 1),
        ({"type": "dict"}, 1),
        ({"type": "float"}, "7"),
        ({"type": [{}]}, "7"),
        ({"multipleOf": 0}, 1),
        ({"minimum": "many"}, 1),
        ({"allOf": 7}, 1),
        ({"properties": ["b"]}, {"b": 1}),
        ({"required": 7}, {}),
        ({"$ref": "http://127.0.0.1:9/never-fetched"}, 1),
        ({"$ref": "#/nowhere"}, 1),
        ({"$ref": "#/properties/a"}, 1),
        ({"$ref": 7}, 1),
        ({"$ref": "\ud800"}, 1),
        ({"type": "dict", "items": nested(150, {})}, 1),
        (nested(5000, {}), 1),
    ],
)
def test_a_broken_schema_is_the_tools_failure(schema, value):
    spec = ToolSpec(name="f", parameters={"type": "object", "properties": {"a": schema}})
    with pytest.raises(ToolFailedError, match=r"schema of f cannot be used \(.{1,300}\); take another") as caught:
        check_arguments(spec, {"a": value})
    str(caught.value).encode()


@pytest.mark.parametrize("parameters", [{"properties": ["a"]}, {"required": None}, {"type": "dict"}])
def test_parameters_that_are_no_schema_are_the_tools_failure(parameters):
    with pytest.raises((ToolFailedError, InvalidArgumentsError)):
        check_arguments(ToolSpec(name="f", parameters=parameters), {"a": 1})


EVIL = "^(a+)+$"
OLD = {"$schema": "http://json-schema.org/draft-07/schema#"}
META = {"$id": "http://x/", "$dynamicAnchor": "meta", "$ref": "https://json-schema.org/draft/2020-12/schema"}
OLD_META = {"$id": "http://x/", "$recursiveAnchor": True, "$ref": "https://json-schema.org/draft/2019-09/schema"}


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": EVIL},
        {"patternProperties": {EVIL: {}}},
        {"patternProperties": {EVIL: {}}, "additionalProperties": False},
        {"patternProperties": {EVIL: {}}, "unevaluatedProperties": False},
        {"propertyNames": {"pattern": EVIL}},
        OLD | {"pattern": EVIL},
        {"allOf": [OLD | {"patternProperties": {EVIL: {}}}]},
        META | {"pattern": EVIL},
        OLD_META | {"pattern": EVIL},
    ],
    ids=str,
)
@pytest.mark.timeout(10)
def test_a_foreign_pattern_is_not_run(schema):
    text = "a" * 40 + "!"
    for parameters in (schema, {"properties": {"a": schema}}):
        for value in (text, {text: 1}, {"not": text}):
            with contextlib.suppress(InvalidArgumentsError, ToolFailedError):
                check_arguments(ToolSpec(name="f", parameters=parameters), {"a": value, "not": text})


def test_parameters_that_are_named_by_a_pattern_are_accepted():
    spec = ToolSpec(name="f", parameters={"patternProperties": {"^x-": {}}, "additionalProperties": False})
    assert check_arguments(spec, {"x-a": 1}) == {"x-a": 1}


def test_a_parameter_may_be_called_as_a_keyword_of_the_schema_language():
    names = ("pattern", "patternProperties", "$schema")
    spec = ToolSpec(name="grep", parameters={"properties": {name: {"type": "integer"} for name in names}})
    assert check_arguments(spec, dict.fromkeys(names, "7")) == dict.fromkeys(names, 7)
    for name in names:
        with pytest.raises(InvalidArgumentsError, match="not of type 'integer'"):
            check_arguments(spec, {name: "x"})


def test_unknown_fields_of_an_argument_are_told():
    inner = {"properties": {"size": {}}, "additionalProperties": False}
    with pytest.raises(InvalidArgumentsError, match="page: Additional properties are not allowed"):
        check_arguments(ToolSpec(name="f", parameters={"properties": {"page": inner}}), {"page": {"colour": 1}})


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
        {"properties": {"a" * 10**6: {}, "b": {"type": ["string"] * 10**6}, "c": {"anyOf": [{"enum": [1] * 10**6}]}}},
        {"properties": {f"p{n}": {"description": "d" * 99, "type": "string"} for n in range(300)}},
        {"properties": {f"p{n}": {} for n in range(300)}, "required": [f"p{n}" for n in range(300)]},
        {"properties": {"a": {"properties": {f"p{n}": {"type": "string"} for n in range(300)}}}},
        {"properties": {"a": nested(5000, {"type": "string"}), "b": {"default": nested(5000, {})}}},
        {"properties": {"a\ud800": {"description": "\udfff", "enum": ["\ud800"]}}},
    ],
)
def test_a_hostile_schema_still_has_a_card_of_bounded_size(parameters):
    spec = ToolSpec(name="f", description="d" * 10**6, parameters=parameters)
    assert len(spec.card.encode()) < 3500
    assert spec.signature.startswith("f(")
    assert spec.signature.endswith(")")


def test_of_many_optional_parameters_the_first_are_shown_after_all_required_ones():
    names = [f"p{n}" for n in range(100)]
    spec = ToolSpec(name="f", parameters={"properties": {name: {} for name in names}, "required": names[60:]})
    shown = [*(f"{name}: Any" for name in names[60:]), *(f"{name}: Any = None" for name in names[:20]), "..."]
    assert spec.signature == f"f({', '.join(shown)})"


def test_a_schema_whose_references_double_at_every_level_is_given_up():
    """2**30 steps; the same as an API's document could hold."""
    levels: dict[str, Any] = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}, {"$ref": f"#/$defs/d{level + 1}"}]}
        for level in range(30)
    }
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "a": {"$ref": "#/$defs/d0"}},
        "$defs": {**levels, "d30": {"type": "string"}},
    }
    spec = ToolSpec(name="endless", parameters=schema)
    began = time.thread_time()
    assert check_arguments(spec, {"a": "x"}) == {"a": "x"}
    with pytest.raises(InvalidArgumentsError, match="n: 'x' is not of type 'integer'"):
        check_arguments(spec, {"n": "x", "a": "x"})  # what was found in time is told
    assert time.thread_time() - began < 10
