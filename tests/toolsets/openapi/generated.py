"""Values that fit a schema, by hypothesis-jsonschema."""

from typing import Any

from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a schema. Objects are put together here: the library's own do not work with today's hypothesis."""
    if schema.get("type") != "object":
        return from_schema(schema)
    needed = schema.get("required", [])
    fields = {name: fitting(one) for name, one in schema["properties"].items()}
    made = st.fixed_dictionaries(
        {name: one for name, one in fields.items() if name in needed},
        optional={name: one for name, one in fields.items() if name not in needed},
    )
    least = schema.get("minProperties", 0)
    return made.filter(lambda value: len(value) >= least)
