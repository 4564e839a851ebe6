"""JSON Schemas and pydantic models are tools once there is something that answers calls."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from deepagent.errors import InvalidArgumentsError, UsageError
from deepagent.tools import check_arguments
from deepagent.toolsets.schemas import SchemaTools, model_tool

WEATHER = {
    "name": "weather",
    "description": "Rain.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


async def test_one_caller_answers_for_all_tools_blocking_or_not():
    async def call(name, arguments):
        return [name, arguments]

    def blocking(name, arguments):
        return [name, arguments]

    def promising(name, arguments):
        return call(name, arguments)

    for caller in (call, blocking, promising):
        async with SchemaTools("sky", [WEATHER], caller) as sky:
            assert sky.tools[0].spec.toolset == "sky"
            assert await sky.tools[0].invoke({"city": "Lyon"}) == ["weather", {"city": "Lyon"}]


@pytest.mark.parametrize(
    "given",
    [
        WEATHER,
        {"type": "function", "function": WEATHER},
        {**WEATHER, "parameters": None, "inputSchema": WEATHER["parameters"]},
    ],
)
def test_the_usual_spellings_of_a_description_are_read(given):
    (tool,) = SchemaTools("sky", [given], lambda name, arguments: None).tools
    assert tool.spec.properties == {"city": {"type": "string"}}


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ([WEATHER, WEATHER], "two tools have one name"),
        ([{"function": 3}], "describes no tool"),
        ([{"description": "nameless"}], "name: Field required"),
        ([{"name": "x", "parameters": [1]}], "parameters: Input should be a valid dictionary"),
        ([{"name": "x", "effect": "cheap"}], "effect"),
    ],
)
def test_what_describes_no_tool_is_refused(specs, words):
    with pytest.raises(UsageError, match=words):
        SchemaTools("sky", specs, lambda name, arguments: None)


class Order(BaseModel):
    """Orders something."""

    sku: str
    count: Annotated[int, Field(gt=0)] = 1


async def test_a_model_is_a_tool_that_gets_the_validated_model():
    tool = model_tool(Order, lambda order: f"{order.count} x {order.sku}", effect="idempotent")
    assert (tool.name, tool.spec.description, tool.spec.effect) == ("Order", "Orders something.", "idempotent")
    assert await tool.invoke({"sku": "lamp"}) == "1 x lamp"
    with pytest.raises(InvalidArgumentsError, match="count: Input should be greater than 0"):
        await tool.invoke({"sku": "lamp", "count": 0})


async def test_types_of_catalogues_that_were_made_from_code_are_understood():
    parameters = {
        "type": "dict",
        "properties": {
            "price": {"type": "float"},
            "tags": {"type": "list", "items": {"type": "str"}},
            "type": {"type": "any", "default": {"type": "dict"}},
        },
        "required": ["price"],
    }
    (one,) = SchemaTools("shop", [{"name": "put", "parameters": parameters}], lambda name, given: given).tools
    assert one.spec.signature == "put(price: float, tags: list[str] = None, type: Any = {'type': 'dict'})"
    assert check_arguments(one.spec, {"price": 1.5, "tags": ["a"], "type": 3}) == {
        "price": 1.5,
        "tags": ["a"],
        "type": 3,
    }
    with pytest.raises(InvalidArgumentsError, match="price: 'x' is not of type 'number'"):
        check_arguments(one.spec, {"price": "x"})
