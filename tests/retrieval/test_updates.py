"""An index that changes: what `updated` and a second build must hold."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepagent.errors import ToolDefinitionError
from deepagent.retrieval import Entry, HashEncoder, ToolIndex
from deepagent.retrieval import index as index_module
from deepagent.retrieval.text import tool_text
from deepagent.tools import ToolSpec

from .conftest import SHOP, alike

NAMES = st.sampled_from([f"tool_{letter}" for letter in "abcdefgh"])
WORDS = st.lists(st.sampled_from(["river", "stone", "cloud", "train", "search"]), max_size=4).map(" ".join)
NEEDS = st.lists(st.sampled_from(["river_id", "trainId"]), max_size=1).map(lambda ids: {"required": ids})
SPECS = st.builds(
    ToolSpec, name=NAMES, description=WORDS, toolset=st.sampled_from(["", "east", "west"]), parameters=NEEDS
)
CHANGES = st.lists(
    st.tuples(st.lists(SPECS, max_size=3, unique_by=lambda spec: spec.name), st.sets(NAMES, max_size=2)), max_size=6
)


@given(CHANGES)
@settings(deadline=None)
def test_a_changed_index_finds_what_a_new_one_finds(changes: list[tuple[list[ToolSpec], set[str]]]):
    index = ToolIndex.build(SHOP, HashEncoder(32))
    tools = {spec.name: spec for spec in SHOP}
    for upserts, removed in changes:
        index = index.updated(upserts, without=removed)
        tools = {name: spec for name, spec in tools.items() if name not in removed}
        tools |= {spec.name: spec for spec in upserts}
        fresh = ToolIndex.build(tools.values(), HashEncoder(32))
        assert index.specs == fresh.specs
        assert len(index) == len(fresh)
        for query in ("a train by the river", "stone. Then search for the cloud!", "orders"):
            assert alike(index.search(query, 50), fresh.search(query, 50))
        assert alike(index.search("train", 50, toolset="west"), fresh.search("train", 50, toolset="west"))


@given(CHANGES, st.booleans())
@settings(deadline=None, max_examples=15)
def test_a_tool_that_came_is_found_by_its_text_and_one_that_went_never(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[list[ToolSpec], set[str]]], reopened: bool
):
    folder = tmp_path_factory.mktemp("index")
    index = ToolIndex.build(SHOP, HashEncoder(32))
    for upserts, removed in changes:
        index = index.updated(upserts, without=removed)
        if reopened:
            index.save(folder)
            index = ToolIndex.open(folder, HashEncoder(32))
        for spec in upserts:
            first = index.search(tool_text(spec), 8)
            equal = [hit for hit in first if hit.score == pytest.approx(first[0].score, abs=1e-5)]
            assert spec in [hit.spec for hit in equal]
            assert index.get(spec.name) == spec
        for name in removed - {spec.name for spec in upserts}:
            assert name not in index
            assert index.get(name) is None
            assert name not in [hit.spec.name for hit in index.search(name.replace("_", " "), 50)]


@given(CHANGES)
@settings(deadline=None, max_examples=30)
def test_searching_twice_finds_the_same(changes: list[tuple[list[ToolSpec], set[str]]]):
    index = ToolIndex.build(SHOP, HashEncoder(32))
    for upserts, removed in changes:
        index = index.updated(upserts, without=removed)
    assert index.search("train river search", 9) == index.search("train river search", 9)


def test_many_changes_make_one_index_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index_module, "_SMALL", 3)
    index = ToolIndex.build(SHOP, HashEncoder())
    for number in range(3):
        index = index.updated([ToolSpec(name=f"new{number}")])
    assert len(index._parts) == 2
    index = index.updated([ToolSpec(name="new3")], without=["forecast"])
    assert len(index._parts) == 1
    assert len(index) == len(SHOP) + 3
    assert "forecast" not in index


def test_a_second_build_of_the_same_tools_is_the_same_index(shop: ToolIndex):
    assert ToolIndex.build(reversed(SHOP), HashEncoder(), previous=shop) is shop


def test_a_second_build_notices_what_changed_beside_the_text(shop: ToolIndex):
    changed = SHOP[0].model_copy(update={"parameters": {"type": "object", "properties": {"x": {}}}})
    again = ToolIndex.build([changed, *SHOP[1:]], HashEncoder(), previous=shop)
    assert again.get(changed.name) == changed


def test_an_entry_keeps_its_id_and_source(tmp_path: Path):
    entry = Entry(spec=ToolSpec(name="api_list"), id="x::1", source="openapi:api.yaml", original="list")
    index = ToolIndex.build([entry, *SHOP], HashEncoder())
    index.save(tmp_path)
    opened = ToolIndex.open(tmp_path, HashEncoder())
    assert opened.entry("api_list") == entry
    assert [hit.id for hit in opened.search("list", 1)] == ["x::1"]
    assert [hit.id for hit in opened.search("rain city", 1)] == ["forecast"]


def test_a_toolset_can_be_searched_alone(shop: ToolIndex):
    assert {hit.spec.toolset for hit in shop.search("rain for a city", 9, toolset="shop")} == {"shop"}
    assert len(shop.search("rain for a city", 9, toolset="shop")) == 2
    assert shop.search("rain for a city", toolset="nothing") == []


def test_a_change_may_not_name_a_tool_twice(shop: ToolIndex):
    with pytest.raises(ToolDefinitionError, match="'twin'"):
        shop.updated([ToolSpec(name="twin"), ToolSpec(name="twin")])


def test_taking_out_what_is_not_there_changes_nothing(shop: ToolIndex):
    assert shop.updated(without=["nobody"]) is shop


def test_an_index_can_become_empty(shop: ToolIndex):
    index = shop.updated(without=[spec.name for spec in SHOP])
    assert len(index) == 0
    assert index.search("rain") == []
