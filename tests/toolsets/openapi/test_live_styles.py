"""Arguments generated from a tool's own schema come back unchanged from a real server, in every style."""

import asyncio
import urllib.request

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent.errors import InvalidArgumentsError
from deepagent.tools import check_arguments
from deepagent.toolsets.openapi.toolset import OpenApi, OpenApiConfig
from tests.toolsets.openapi import styles_app
from tests.toolsets.openapi.generated import fitting
from tests.toolsets.servers import serving


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Calls a tool of the server, whose document is the one that it serves itself."""
    with serving(styles_app.make()) as url, asyncio.Runner() as runner:
        document = tmp_path_factory.mktemp("styles") / "openapi.json"
        with urllib.request.urlopen(f"{url}/openapi.json") as served:
            document.write_bytes(served.read())
        toolset = OpenApi(OpenApiConfig(document=document, server=url))
        tools = {tool.name: tool for tool in toolset.tools}
        runner.run(toolset.__aenter__())
        yield (
            tools,
            lambda name, arguments: runner.run(tools[name].invoke(check_arguments(tools[name].spec, arguments))),
        )
        runner.run(toolset.__aexit__(None, None, None))


def test_every_style_of_the_specification_is_there(call):
    tools, _ = call
    assert set(tools) == set(styles_app.CASES)
    assert len(tools) == 38


@pytest.mark.parametrize("name", styles_app.CASES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_sent_is_what_is_understood(call, name, data):
    tools, invoke = call
    arguments = data.draw(fitting(tools[name].spec.parameters))
    if case_says_nothing(name, arguments["value"]):
        with pytest.raises(InvalidArgumentsError, match="cannot stand in a path"):
            invoke(name, arguments)
    else:
        assert invoke(name, arguments) == arguments["value"]


def case_says_nothing(name, value) -> bool:
    """Whether a path would hold only dots, which mean another path."""
    plain = value if isinstance(value, str) else value[0] if isinstance(value, list) and len(value) == 1 else ""
    return name.startswith("path_simple") and plain in (".", "..")
