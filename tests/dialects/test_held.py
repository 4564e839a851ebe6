"""Grammars for calls: plain schemas that any compiler knows, whatever the tool's own schema is."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent.dialects.held import held_calls
from deepagent.tools import ToolSpec


def held(parameters: dict, name: str = "price") -> dict:
    grammar = held_calls("<c>", "</c>", [ToolSpec(name=name, parameters=parameters)])
    assert grammar is not None
    return grammar.tags[0].schema_["properties"]["arguments"]


def test_without_tools_nothing_is_held():
    assert held_calls("<c>", "</c>", []) is None
    assert held_calls("<c>", "</c>", [ToolSpec(name=f"t{n}") for n in range(1000)]) is None


def test_a_call_is_held_to_one_of_the_tools_under_either_of_its_names():
    grammar = held_calls("<c>", "</c>", [ToolSpec(name="a.b"), ToolSpec(name="c")])
    assert grammar is not None
    names = [call["properties"]["name"]["enum"] for call in grammar.tags[0].schema_["anyOf"]]
    assert names == [["a.b", "a_b"], ["c"]]


def test_types_choices_and_fields_are_kept():
    schema = {
        "type": "object",
        "properties": {
            "sku": {"type": "string", "pattern": "^(a+)+$", "description": "long"},
            "size": {"enum": ["S", "M"]},
            "unit": {"const": "kg"},
            "count": {"type": ["integer", "null"], "minimum": 3},
            "tags": {"type": "array", "items": {"type": "string"}},
            "where": {"$ref": "#/$defs/Place"},
        },
        "required": ["sku", "never"],
    }
    assert held(schema) == {
        "type": "object",
        "properties": {
            "sku": {"type": "string"},
            "size": {"enum": ["S", "M"]},
            "unit": {"enum": ["kg"]},
            "count": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "where": {},
        },
        "required": ["sku"],
        "additionalProperties": False,
    }


def test_a_huge_schema_is_only_held_to_be_an_object():
    many = {f"field{n}": {"type": "string"} for n in range(500)}
    assert held({"type": "object", "properties": many}) == {"type": "object"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "enum", "const", "anyOf", "required", "$ref", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how fast values are made is no matter here
@given(st.dictionaries(st.sampled_from(["type", "properties", "required", "anyOf", "enum"]), JSON, max_size=4))
def test_any_schema_at_all_makes_a_grammar(schema):
    grammar = held_calls("<c>", "</c>", [ToolSpec(name="t", parameters=schema)])
    assert grammar is not None
    assert json.loads(grammar.structural_tag)["format"]["triggers"] == ["<c>"]
