"""One task that needs a function, an OpenAPI operation, an MCP tool and a file, all found by search alone.

All four are real: a live HTTP server, an MCP server in a process of its own, a spreadsheet behind the sandbox's walls.
"""

import pytest

from benchmarks.four_sources import ANSWER, WANTED, attempt
from deepagent.errors import WeightsError
from deepagent.models import ScriptedModel, weights
from tests.support import answer, call, execute

pytest.importorskip("mcp")
pytest.importorskip("openpyxl")


def searched(query: str) -> str:
    return f"I need a tool.\n<tool_search>{query}</tool_search>"


async def test_by_calls_and_by_code(tmp_path, walls):
    script = [
        searched("how many pupils has a class"),
        call("pupils_in_class", school_class="7b"),
        searched("price of a ticket for an exhibition of the museum"),
        call("ticket_price", exhibition="space"),
        searched("fare of the bus for passengers"),
        searched("read a spreadsheet file"),
        execute("lunch = int(read_file('lunch.xlsx').split()[-1])\nprint(bus_fare(24), lunch)"),
        answer(ANSWER),
    ]
    found = await attempt(ScriptedModel(script), tmp_path, 0, others=["toolhop"], encoder="hash")
    assert (found["all four"], found["right"], found["status"], found["steps"]) == (True, True, "answered", 8), found


async def test_a_tool_that_no_search_has_found_does_not_count(tmp_path):
    script = [call(WANTED[0], school_class="7b"), searched("read a spreadsheet file"), answer("1")]
    script += [answer("1")] * 4  # it is doubted, and insists
    found = await attempt(ScriptedModel(script), tmp_path, 0, others=["toolhop"], encoder="hash")
    assert (found["used"], found["right"]) == ([], False)


@pytest.mark.weights
@pytest.mark.heavy
@pytest.mark.timeout(1800)
async def test_a_small_model_finds_and_uses_all_four_by_search_alone(tmp_path, walls):
    """Greedy, so it is the same run every time; `python -m benchmarks.four_sources --no-code` tells it."""
    pytest.importorskip("xllamacpp")
    try:
        weights.path("qwen2.5-coder-1.5b")
    except WeightsError as missing:
        pytest.skip(str(missing))
    found = await attempt("embedded", tmp_path, 0, code=False)
    assert (found["used"], found["status"]) == (list(WANTED), "answered"), found
