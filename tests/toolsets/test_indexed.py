"""An index on disk as the tools of an agent: found by search, called through their sources."""

import json
import threading
from pathlib import Path

import pytest

from deepagent import Agent, AgentConfig
from deepagent.errors import ToolFailedError, ToolRefusedError, UnknownToolError, UsageError
from deepagent.models.scripted import ScriptedModel
from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.runs.events import Observed
from deepagent.runs.store import RunStore
from deepagent.toolsets import indexed
from deepagent.toolsets.base import Host
from deepagent.toolsets.indexed import IndexConfig, IndexedTools, open_indexed
from deepagent.toolsets.resolve import ModuleTools
from deepagent.toolsets.sources import expand, read_sources
from tests.support import HASHED, answer, call, execute, record

OTHERS = 3000

CODE = '''
from deepagent import tool

@tool(effect="{effect}")
def double(x: int) -> int:
    """Twice a number."""
    return 2 * x

@tool(effect="pure")
def water_plants(litres: int) -> str:
    """Water the plants of the garden."""
    return "done"
'''


def api(path: Path, server: str | None = None) -> Path:
    """A document of one operation."""
    operation = {"operationId": path.stem, "summary": f"Colour of the {path.stem}.", "responses": {}}
    document = {"openapi": "3.0.3", "info": {"title": path.stem, "version": "1"}, "paths": {"/all": {"get": operation}}}
    path.write_text(json.dumps(document | ({"servers": [{"url": server}]} if server else {})))
    return path


async def build(folder: Path, *words: str | Path) -> Path:
    """An index of these sources in a folder."""
    entries = [entry async for entry in read_sources(expand(map(str, words)), Host())]
    ToolIndex.build(entries, HashEncoder()).save(folder / "index")
    return folder / "index"


@pytest.fixture
async def large(tmp_path: Path) -> Path:
    """An index of 3,002 tools, of which two can be called."""
    (tmp_path / "mine.py").write_text(CODE.format(effect="pure"))
    rows = [{"name": f"other_{n}", "description": f"Something about the matter {n}."} for n in range(OTHERS)]
    (tmp_path / "others.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return await build(tmp_path, tmp_path / "mine.py", tmp_path / "others.jsonl")


def source(index: Path, *call: str | Path) -> dict[str, object]:
    return {"kind": "index", "folder": str(index), "call": [str(one) for one in call]}


async def test_an_agent_finds_and_calls_the_tools_of_an_index(large, tmp_path, monkeypatch):
    read = set()
    entry = ToolIndex.entry
    monkeypatch.setattr(ToolIndex, "entry", lambda self, name: read.add(name) or entry(self, name))
    script = [
        "I need a tool.\n<tool_search>twice a number</tool_search>",
        call("double", x=21),
        execute(
            "print(double(x=4))\nprint(search_tools(query='water the garden')[:20])\nprint(water_plants(litres=2))"
        ),
        call("other_7"),
        answer("42"),
    ]
    recording = await record(script, tmp_path, tools=[source(large, tmp_path / "mine.py")])
    found, called, ran, refused = [event.observation for event in recording.events if isinstance(event, Observed)][:4]
    assert found.found[0].name == "double"
    assert called.text == "42"
    assert ran.text.splitlines()[0] == "8"
    assert ran.text.splitlines()[-1] == "done"
    assert "can be found here, but not called" in refused.text
    assert (recording.run.status, recording.run.answer) == ("answered", "42")
    assert len(read) < 30, "what is not found costs nothing"


async def test_own_tools_are_found_beside_those_of_an_index_and_take_the_place_of_their_names(large, tmp_path):
    def double(x: int) -> str:
        """Twice a number, in words."""
        return "forty-two"

    def flood_warning(river: str) -> str:
        """Whether a river is going to flood."""
        return "no"

    script = [
        "<tool_search>twice a number</tool_search>",
        call("double", x=21),
        "<tool_search>will the river flood</tool_search>",
        call("flood_warning", river="Rhine"),
        answer("no"),
    ]
    tools = [double, flood_warning, source(large, tmp_path / "mine.py")]
    async with Agent(ScriptedModel([answer("0")]), tools, config=HASHED, store=tmp_path / "other.sqlite") as agent:
        assert len(agent.catalogue) == OTHERS + 3
    async with Agent(ScriptedModel([]), tools, store=tmp_path / "other.sqlite") as agent:
        assert agent.catalogue.retriever == HashEncoder().name, "the index has its encoder, whatever the settings say"
    recording = await record(script, tmp_path, tools=tools)
    texts = [event.observation.text for event in recording.events if isinstance(event, Observed)]
    assert texts[1] == "forty-two"
    assert "flood_warning" in texts[2]
    assert texts[3] == "no"


async def test_a_run_over_an_index_goes_on_after_an_interruption(large, tmp_path):
    tools = [source(large, tmp_path / "mine.py")]
    config = HASHED.model_copy(update={"limits": HASHED.limits.model_copy(update={"actions": 1})})
    script = ["<tool_search>twice a number</tool_search>", "</answer>"]
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = await Agent(ScriptedModel(script), tools, config=config, store=store).run("Do it.")
        assert run.answer is None
        script = [call("double", x=3), answer("6")]
        done = await Agent(ScriptedModel(script), tools, config=HASHED, store=store).resume(run.id)
        seen = [one.event.observation.text for one in store.events(run.id) if isinstance(one.event, Observed)]
    assert (done.answer, seen[-1]) == ("6", "6")


async def test_few_tools_of_an_index_are_shown_in_the_prompt(tmp_path):
    (tmp_path / "mine.py").write_text(CODE.format(effect="pure"))
    index = await build(tmp_path, tmp_path / "mine.py")
    recording = await record([call("double", x=1), answer("2")], tmp_path, tools=[source(index, tmp_path / "mine.py")])
    assert "double(x: int)" in recording.events[1].segments[0].text
    assert recording.run.answer == "2"


async def test_a_tool_that_was_found_is_known_by_the_name_on_its_card(tmp_path):
    rows = [{"name": f"fill-tank-{n}", "description": f"Fill tank {n}."} for n in range(9)]
    (tmp_path / "tanks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    index = await build(tmp_path, tmp_path / "tanks.jsonl")
    script = ["<tool_search>fill tank 3</tool_search>", call("fill_tank_3"), answer("1")]
    recording = await record(script, tmp_path, tools=[f"index:{index}"])
    found, called = [event.observation for event in recording.events if isinstance(event, Observed)]
    assert "fill_tank_3()" in found.text
    assert "not called: its catalogue only describes it" in called.text


async def test_one_agent_searches_one_index(large, tmp_path):
    with pytest.raises(UsageError, match="make one of all sources"):
        await record([answer("1")], tmp_path, tools=[source(large), source(large)])


@pytest.fixture
def opened_sources(monkeypatch) -> list[str]:
    """The sources that were opened, in order."""
    opened: list[str] = []
    real = indexed.open_toolset

    def spied(source, host):
        assert threading.current_thread() is not threading.main_thread(), "reading it does not hold up other runs"
        opened.append(source)
        return real(source, host)

    monkeypatch.setattr(indexed, "open_toolset", spied)
    return opened


async def test_without_a_word_only_plain_documents_are_opened(tmp_path, opened_sources):
    (tmp_path / "mine.py").write_text(CODE.format(effect="pure"))
    plain, local = api(tmp_path / "plain.json", "https://api.example.com"), api(tmp_path / "local.json")
    words = (plain, f"openapi:{local}#http://127.0.0.1:1", tmp_path / "mine.py")
    tools = open_indexed(IndexConfig(folder=await build(tmp_path, *words)), Host())
    assert {name: tools.can_call(name) for name in ("plain", "local", "double")} == {
        "plain": True, "local": False, "double": False
    }  # fmt: skip
    for name, arguments in (("local", {}), ("double", {"x": 1})):
        with pytest.raises(ToolRefusedError, match="not open to calls"):
            await tools.get(name).invoke(arguments)
    assert opened_sources == []


async def test_a_source_is_opened_once_and_closed_at_the_end(large, tmp_path, opened_sources, monkeypatch):
    closed = []

    async def closing(self, *_):
        closed.append(self.name)

    monkeypatch.setattr(ModuleTools, "__aexit__", closing)
    tools = open_indexed(IndexConfig(folder=large, call=(str(tmp_path / "mine.py"),)), Host())
    async with tools:
        assert [await tools.get("double").invoke({"x": n}) for n in (1, 2)] == [2, 4]
        assert len(opened_sources) == 1
    assert closed == ["mine"]


async def test_a_tool_that_is_more_dangerous_than_the_index_says_is_not_called(large, tmp_path):
    """Approval was asked, or not, by what the index says."""
    (tmp_path / "mine.py").write_text(CODE.format(effect="unsafe"))
    tools = open_indexed(IndexConfig(folder=large, call=(str(tmp_path / "mine.py"),)), Host())
    with pytest.raises(ToolRefusedError, match="not as harmless as the index says"):
        await tools.get("double").invoke({"x": 1})


async def test_what_has_changed_since_the_index_was_built_is_told(large, tmp_path):
    words = (str(tmp_path / "mine.py"),)
    (tmp_path / "mine.py").write_text("def halve(x: int) -> float:\n    '''Half a number.'''\n    return x / 2\n")
    tools = open_indexed(IndexConfig(folder=large, call=words), Host())
    with pytest.raises(UnknownToolError, match="no longer offered"):
        await tools.get("double").invoke({"x": 1})
    (tmp_path / "mine.py").unlink()
    tools = IndexedTools(ToolIndex.open(large, HashEncoder()), lambda source: True, Host())
    with pytest.raises(ToolFailedError, match="cannot be opened"):
        await tools.get("double").invoke({"x": 1})


async def test_all_tools_can_be_listed(large):
    tools = open_indexed(IndexConfig(folder=large), Host())
    assert len(tools.tools) == OTHERS + 2
    assert tools.get("double") is tools.get("double")
    assert tools.get("nothing") is None


async def test_tools_that_fit_are_shown_before_where_nothing_is_searched(large, tmp_path):
    config = AgentConfig(encoder="hash", doubts=False, search="before", found=2)
    recording = await record(
        [call("double", x=1), answer("2")], tmp_path, task="Twice a number.",
        tools=[source(large, tmp_path / "mine.py")], config=config,
    )  # fmt: skip
    assert "double(x: int)" in recording.events[1].segments[0].text
