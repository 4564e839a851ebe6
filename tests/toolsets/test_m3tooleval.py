"""M3ToolEval's tools: what they do where it is not plain."""

import asyncio

import pytest

from deepagent import Agent
from deepagent.models import ScriptedModel
from deepagent.runs.events import Observed
from deepagent.runs.store import RunStore
from deepagent.toolsets.m3tooleval.calculator import evaluate
from deepagent.toolsets.m3tooleval.toolset import M3ToolEval
from tests.support import HASHED, execute

TOOLS = {tool.name: tool for tool in M3ToolEval().tools}


async def use(name, **arguments):
    return await TOOLS[name].invoke(arguments)


def test_there_are_29_tools_and_no_two_share_a_name():
    assert len(TOOLS) == len(M3ToolEval().tools) == 29


async def test_ciphers_move_letters_only():
    assert await use("caesar_decode", message="aBc 1", shift=2) == "yZa 1"
    assert await use("caesar_decode", message="aBc 1", shift=-2) == "cDe 1"
    with pytest.raises(ValueError, match="non-hexadecimal"):
        await use("convert_hex_to_ascii", hex_string="6g")


async def test_genes_are_cut_in_threes_and_the_first_of_equals_wins():
    assert await use("translate_mrna_to_amino_acid", mrna_sequence="AUGUUUAC") == "Methionine-Phenylalanine-X"
    assert await use("find_max_nucleotide", nucleotide_counts={"G": 2, "A": 2}) == ("G", 2)
    assert await use("is_valid_dna_sequence", dna_sequence="acgt") is False


async def test_cities_may_stand_in_quotes_and_unknown_ones_are_told():
    assert len(await use("find_flights", from_location='"E"', to_location="B", date="2023-11-10")) == 2
    assert [hotel["rating"] for hotel in await use("book_hotel", location="B", preferences=["pool"])] == [5]
    with pytest.raises(ValueError, match="supported are A, B, C, D, E, F"):
        await use("book_hotel", location="Paris")


@pytest.mark.parametrize(
    ("expression", "value"), [("2 + (3 * 4)", 14), ("-7 // 2", -4), ("7 % 4 ** 0.5", 1.0), (" 1e3 / 4", 250)]
)
def test_arithmetic_is_evaluated(expression, value):
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "x",
        "1 if 2 else 3",
        "9 ** 9 ** 9",
        "(-8) ** 0.5",
        "'a' * 9",
        "True",
        "(" * 400,
        "1" * 501,
        "",
    ],
)
async def test_what_is_no_arithmetic_is_refused(expression):
    with pytest.raises(ValueError, match=r"expression|large|long|real"):
        evaluate(expression)
    assert await use("calculator", expression=expression) == f"Failed to evaluate expression: {expression}"


async def test_division_by_zero_is_told_as_the_original_does():
    assert await use("calculator", expression="1 / 0") == "Failed to evaluate expression: 1 / 0"


async def test_the_browser_shows_five_lines_at_a_time():
    M3ToolEval().reset()
    first = await use("view")
    assert first.splitlines()[:3] == ["----------", "[Web Page Name: /]", "[Viewing page 1 of 2]"]
    assert "Our Team" not in first
    assert "Meet Our Team" in await use("scroll_down")
    assert await use("scroll_down") == "[Reached the bottom of the page.]\n"
    assert await use("scroll_up") == first
    assert await use("scroll_up") == "[Reached the top of the page.]\n"
    assert await use("go_to_previous_page") == "[No previous page.]"


async def test_links_open_pages_and_the_two_dead_ones_do_too():
    M3ToolEval().reset()
    assert await use("click_url", url="/nowhere") == "[URL not found.]"
    assert "[Web Page Name: /team/customer-support]" in await use("click_url", url="'/team/customer_support'")
    assert "[Web Page Name: /blog/wand_maintenance]" in await use("click_url", url="/blog/wand-maintenance")
    assert "[Opened page: /team/customer-support]" in await use("go_to_previous_page")


async def test_every_run_has_a_browser_of_its_own(walls, tmp_path):
    script = [execute("print(view())"), execute("print(click_url(url='/about'))"), "<answer>x</answer>"]
    model = ScriptedModel(lambda window: script[len(window.segments) // 2])
    config = HASHED.model_copy(update={"cards": 40})
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(model, ["m3tooleval"], config=config, store=store) as agent:
            runs = await asyncio.gather(agent.run("one"), agent.run("two"))
            runs.append(await agent.run("three"))
        for run in runs:
            seen = [one.event.observation.text for one in store.events(run.id) if isinstance(one.event, Observed)]
            assert "[Web Page Name: /]" in seen[0]
            assert "[Web Page Name: /about]" in seen[1]
