"""The tools of sources: which words name what, and under which names their tools go into an index."""

import json
from pathlib import Path

import pytest

from deepagent.errors import UsageError
from deepagent.retrieval import Entry, HashEncoder, ToolIndex
from deepagent.toolsets.base import Host
from deepagent.toolsets.sources import expand, read_sources


def document(path: Path) -> Path:
    """An API of one operation, `list`, named after its file."""
    operation = {"operationId": "list", "summary": f"All of {path.stem}.", "responses": {}}
    info = {"title": path.stem, "version": "1"}
    path.write_text(json.dumps({"openapi": "3.0.3", "info": info, "paths": {"/all": {"get": operation}}}))
    return path


async def entries(*words: Path, index: ToolIndex | None = None) -> list[Entry]:
    return [entry async for entry in read_sources(expand(map(str, words)), Host(), index=index)]


def test_what_a_folder_holds_is_read_once_also_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tools.jsonl").write_text('{"id": "a", "name": "x"}')
    zoo = document(tmp_path / "zoo.json")
    monkeypatch.chdir(tmp_path)
    sources = expand([str(tmp_path), "tools.jsonl", str(zoo)])
    assert [source.found for source in sources] == [False, False], "what is named must hold tools"
    assert sources == expand(["tools.jsonl", str(zoo)])


def test_a_command_is_no_catalogue_though_it_ends_like_one():
    (source,) = expand(["mcp:server --data tools.jsonl"])
    assert not source.is_catalogue


@pytest.mark.parametrize("word", ["", "openapi:"])
def test_an_empty_word_does_not_mean_the_folder_one_is_in(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    document(tmp_path / "zoo.json")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="empty"):
        expand([word])


async def test_a_name_in_an_earlier_catalogue_is_taken(tmp_path: Path):
    (tmp_path / "tools.jsonl").write_text('{"name": "list"}')
    found = await entries(tmp_path / "tools.jsonl", document(tmp_path / "zoo.json"))
    assert [entry.spec.name for entry in found] == ["list", "zoo_list"]


async def test_a_source_that_is_read_again_replaces_its_own_tools_and_no_others(tmp_path: Path):
    pets, zoo = document(tmp_path / "pets.json"), document(tmp_path / "zoo.json")
    index = ToolIndex.build(await entries(pets, zoo), HashEncoder())
    assert [spec.name for spec in index.specs] == ["list", "zoo_list"]
    assert [entry.spec.name for entry in await entries(zoo, index=index)] == ["zoo_list"]
    assert [entry.spec.name for entry in await entries(pets, index=index)] == ["list"]
