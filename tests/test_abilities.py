"""What an agent may do: calls only in code, tools found before it begins, a strategy to follow."""

import pytest

from deepagent import AgentConfig
from deepagent.errors import ConfigError
from deepagent.settings import validate
from deepagent.toolsets.functions import tool
from tests.support import answer, call, calling, execute, record


@tool
def price(item: str) -> int:
    """Price of an item in a shop."""
    return 3


@tool
def weather(city: str) -> str:
    """Weather of a city."""
    return "rain"


@tool
def distance(start: str, end: str) -> int:
    """Kilometres between two cities."""
    return 5


CODE_ONLY = AgentConfig(encoder="hash", call=False)


async def test_where_only_code_calls_tools_a_call_is_refused_and_code_is_not(walls, tmp_path):
    script = [call("price", item="pen"), execute("print(price(item='pen'))"), answer("3")]
    done = await record(script, tmp_path, tools=[price], config=CODE_ONLY)
    assert done.observations[0] == "Not called: tools are called in Python, with <execute>."
    assert done.observations[1] == "3"
    prompt = done.model.prompts[0]
    assert "price(item: str)" in prompt
    assert "Every tool is a function there" in prompt
    assert "<tool_call>" not in prompt


async def test_functions_of_a_chat_api_are_then_only_code(walls, tmp_path):
    script = [calling(("execute", {"code": "print(price(item='pen'))"})), calling(content="3")]
    done = await record(script, tmp_path, tools=[price], config=CODE_ONLY, functions=True)
    assert [function.name for function in done.model.windows[0].functions] == ["execute", "fold_thought"]
    assert "price(item: str)" in done.model.prompts[0], "the tools are told of in the task instead"
    assert done.observations == ["3"]


async def test_tools_that_fit_the_task_can_be_found_before_it_begins(tmp_path):
    config = AgentConfig(encoder="hash", search="before", cards=0, found=1, execute=False)
    script = [call("price", item="pen"), call("weather", city="Rome"), answer("3")]
    tools = [weather, price, distance]
    done = await record(script, tmp_path, tools=tools, config=config, task="Find the price of an item in a shop.")
    prompt = done.model.prompts[0]
    assert "price(item: str)" in prompt
    assert "weather(" not in prompt
    assert "tool_search" not in prompt
    assert done.observations[0] == "3"


async def test_guidance_ends_the_instructions(tmp_path):
    config = AgentConfig(encoder="hash", guidance="Plan first.")
    done = await record([answer("x")], tmp_path, config=config)
    assert "Plan first." in done.model.windows[0].messages[0].content
    native = await record([calling(content="x")], tmp_path, config=config, functions=True)
    assert native.model.windows[0].messages[0].content.endswith("Plan first.")


def test_there_are_two_ways_to_search():
    with pytest.raises(ConfigError, match="search"):
        validate({"search": "never"}, AgentConfig, where="config")
