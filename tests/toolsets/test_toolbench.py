"""ToolBench's APIs, and ToolBench's service."""

import json

import pytest

from deepagent.errors import ToolFailedError
from deepagent.secrets import Secret
from deepagent.tools import check_arguments
from deepagent.toolsets.toolbench.toolset import ToolBench, ToolBenchConfig, catalogue, standard
from tests.toolsets.servers import serving


def test_there_are_1996_apis_under_names_of_their_own():
    assert len(catalogue()) == len({row["name"] for row in catalogue()}) == 1996
    assert all(len(row["name"]) <= 64 for row in catalogue())
    assert len(ToolBench(ToolBenchConfig()).tools) == 1996


def test_names_are_in_toolbenchs_form():
    assert standard("ASIN Data") == "asin_data"
    assert standard("2.0 -- x!") == "get_2_0_x"


def test_every_schema_can_be_checked_against():
    for tool in ToolBench(ToolBenchConfig()).tools:
        required = tool.spec.required
        sample = {"number": 1, "boolean": True, "array": [], "object": {}}
        given = {name: sample.get(tool.spec.properties[name]["type"], "x") for name in required}
        assert check_arguments(tool.spec, given) == given


async def service(request):
    from starlette.responses import JSONResponse

    asked = json.loads(await request.body())
    if asked["toolbench_key"] != "a-secret-key":
        return JSONResponse({"error": f"Invalid key {asked['toolbench_key']}", "response": ""})
    if asked["tool_input"].get("type") == "broken":
        return JSONResponse({"message": "down"}, 502)
    return JSONResponse({"error": "", "response": {"seen": asked}})


@pytest.fixture
def url():
    from starlette.applications import Starlette
    from starlette.routing import Route

    with serving(Starlette(routes=[Route("/rapidapi", service, methods=["POST"])])) as url:
        yield f"{url}/rapidapi"


async def called(url, monkeypatch, key, **arguments):
    monkeypatch.setenv("TOOLBENCH_KEY", key)
    async with ToolBench(ToolBenchConfig(key=Secret(env="TOOLBENCH_KEY"), url=url)) as toolset:
        (tool,) = (tool for tool in toolset.tools if tool.name == "search_for_asin_data")
        return await tool.invoke(arguments)


async def test_the_service_is_asked_as_it_wants_and_the_key_never_comes_back(url, monkeypatch):
    seen = (await called(url, monkeypatch, "a-secret-key", type="search"))["seen"]
    assert seen.pop("toolbench_key") == "[credential]"
    assert seen == {
        "category": "Data",
        "tool_name": "asin_data",
        "api_name": "search",
        "tool_input": {"type": "search"},
        "strip": "raw",
    }


async def test_what_the_service_refuses_is_told_without_the_key(url, monkeypatch):
    with pytest.raises(ToolFailedError, match="Invalid key") as refused:
        await called(url, monkeypatch, "a-wrong-key")
    assert "a-wrong-key" not in str(refused.value)
    with pytest.raises(ToolFailedError, match="answered 502"):
        await called(url, monkeypatch, "a-secret-key", type="broken")


async def test_without_a_key_no_call_succeeds(monkeypatch):
    async with ToolBench(ToolBenchConfig()) as toolset:
        with pytest.raises(ToolFailedError, match="no ToolBench key is set"):
            await toolset.tools[0].invoke({})
    monkeypatch.delenv("TOOLBENCH_KEY", raising=False)
    async with ToolBench(ToolBenchConfig(key=Secret(env="TOOLBENCH_KEY"))) as toolset:
        with pytest.raises(ToolFailedError, match="TOOLBENCH_KEY is empty"):
            await toolset.tools[0].invoke({})
