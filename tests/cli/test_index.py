"""`deepagent index`, as a process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deepagent.retrieval
from deepagent.retrieval.choice import TUNED
from deepagent.retrieval.storage import building

PACKAGE = Path(deepagent.retrieval.__file__).parent

TOOLS = (
    {"name": "list_orders", "toolset": "shop", "description": "Orders of one customer."},
    {"name": "forecast", "toolset": "weather", "description": "Rain for a city. \x1b[2J[red]loud[/red]"},
    {"name": "translate", "toolset": "language", "description": "Translate a text."},
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "tools.jsonl"
    path.write_text("\n".join(map(json.dumps, TOOLS)))
    return path


def index(*arguments: object) -> "subprocess.CompletedProcess[str]":
    code = "from deepagent.cli.index import app; app()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "DEEPAGENT_CACHE": "/nonexistent", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def build(source: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    return index("build", source, "--out", out, "--encoder", "hash")


def test_what_is_built_can_be_searched(source: Path, tmp_path: Path):
    built = build(source, tmp_path / "index")
    assert (built.returncode, built.stdout, built.stderr) == (0, f"3 tools in {tmp_path / 'index'}\n", "")
    found = index("search", tmp_path / "index", "rain in a city", "-k", 2)
    assert found.returncode == 0
    head, first, *_ = found.stdout.splitlines()
    assert head.split() == ["tool", "score", "dense", "lexical", "description"]
    assert first.split()[:3] == ["1", "forecast", "1.000"]


def test_a_description_cannot_command_the_terminal(source: Path, tmp_path: Path):
    build(source, tmp_path / "index")
    shown = index("search", tmp_path / "index", "rain", "-k", 1).stdout
    assert "\x1b" not in shown
    assert "[red]loud[/red]" in shown


def test_json_is_one_hit_per_line(source: Path, tmp_path: Path):
    build(source, tmp_path / "index")
    hits = [json.loads(line) for line in index("search", tmp_path / "index", "rain", "--json").stdout.splitlines()]
    assert [set(hit) for hit in hits] == [{"spec", "id", "score", "dense", "lexical"}] * 3
    assert hits[0]["spec"]["description"] == TOOLS[1]["description"]


def test_a_damaged_index_is_built_anew(source: Path, tmp_path: Path):
    build(source, tmp_path / "index")
    (tmp_path / "index" / "manifest.json").write_text("damaged")
    assert build(source, tmp_path / "index").returncode == 0
    assert index("search", tmp_path / "index", "rain").returncode == 0


def test_meaning_is_found_without_any_download(source: Path, tmp_path: Path):
    built = index("build", source, "--out", tmp_path / "index")
    assert built.returncode == 0, built.stderr
    found = index("search", tmp_path / "index", "do I need an umbrella", "-k", 1).stdout.splitlines()
    assert "forecast" in found[1]


def test_an_index_of_an_encoder_of_ones_own_is_searched_with_it(source: Path, tmp_path: Path):
    own = tmp_path / "own"
    shutil.copytree(PACKAGE / "weights" / TUNED, own)
    (own / "tokenizer.json").write_text((own / "tokenizer.json").read_text() + " ")  # another, as far as names go
    assert index("build", source, "--out", tmp_path / "index", "--encoder", own).returncode == 0
    refused = index("search", tmp_path / "index", "rain")
    assert refused.returncode == 1
    assert "encoder" in refused.stderr
    assert index("search", tmp_path / "index", "rain", "--encoder", own).returncode == 0


def test_a_tool_in_two_catalogues_is_named(source: Path, tmp_path: Path):
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(TOOLS[1]))
    built = index("build", source, other, "--out", tmp_path / "index", "--encoder", "hash")
    assert built.returncode == 1
    assert "several tools are called 'forecast'" in built.stderr


def test_one_source_named_twice_is_read_once(source: Path, tmp_path: Path):
    assert index("build", source, source, "--out", tmp_path / "index", "--encoder", "hash").returncode == 0


PETS = {
    "openapi": "3.0.3",
    "info": {"title": "Pets", "version": "1"},
    "paths": {"/pets": {"get": {"operationId": "list", "summary": "All pets.", "responses": {}}}},
}


def test_sources_of_every_kind_make_one_index(source: Path, tmp_path: Path):
    apis = tmp_path / "apis"
    (apis / "deep").mkdir(parents=True)
    (apis / "deep" / "pets.json").write_text(json.dumps(PETS))
    (apis / "zoo.yaml").write_text(json.dumps({**PETS, "info": {"title": "Zoo", "version": "1"}}))
    (apis / "package.json").write_text('{"name": "no API"}')
    code = tmp_path / "mine.py"
    code.write_text('def double(x: int) -> int:\n    """Twice a number."""\n    return 2 * x\n')
    server = f"mcp:{sys.executable} {Path(__file__).parent.parent / 'toolsets' / 'mcp_server.py'}"
    built = index("build", source, apis, code, server, "--out", tmp_path / "index", "--encoder", "hash")
    assert built.returncode == 0, built.stderr
    assert f"left out openapi:{apis}/package.json" in built.stderr
    found = {
        hit["id"]
        for line in index("search", tmp_path / "index", "all pets", "-k", 99, "--json").stdout.splitlines()
        for hit in [json.loads(line)]
    }
    assert {"list", "zoo_list", "double", "forecast"} <= found
    alone = index("search", tmp_path / "index", "pets", "--toolset", "zoo", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in alone] == ["zoo_list"]


def test_of_equal_tools_one_is_taken_when_asked(tmp_path: Path):
    for name in ("v1.json", "v2.json"):
        (tmp_path / name).write_text(json.dumps(PETS))
    assert "2 tools" in index("build", tmp_path, "--out", tmp_path / "a", "--encoder", "hash").stdout
    assert "1 tools" in index("build", tmp_path, "--distinct", "--out", tmp_path / "b", "--encoder", "hash").stdout


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("nowhere.jsonl", "there is no file nowhere.jsonl"),
        ("nonsense:x", "unknown tool source"),
        ("openapi:nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_a_source_that_is_not_there_is_named(word: str, told: str, tmp_path: Path):
    built = index("build", word, "--out", tmp_path / "index", "--encoder", "hash")
    assert built.returncode == 1
    assert told in " ".join(built.stderr.split())


def test_a_file_of_queries_gives_one_ranking_a_line(tmp_path: Path):
    tools, queries = tmp_path / "tools.jsonl", tmp_path / "queries.jsonl"
    tools.write_text("\n".join(json.dumps({"id": f"x::{tool['name']}", **tool}) for tool in TOOLS))
    wishes = [{"id": "q1", "query": "rain in a city", "gold": ["x::forecast"]}, {"id": 7, "query": "orders"}]
    queries.write_text("\n".join(map(json.dumps, wishes)))
    build(tools, tmp_path / "index")
    found = index("search", tmp_path / "index", "--queries", queries, "-k", 2, "--json").stdout.splitlines()
    first, second = map(json.loads, found)
    assert first["query_id"] == "q1"
    assert first["ranked"][0] == "x::forecast"
    assert len(first["ranked"]) == 2
    assert second["query_id"] == 7
    assert second["ranked"][0] == "x::list_orders"
    shown = index("search", tmp_path / "index", "--queries", queries).stdout
    assert "q1  rain in a city" in shown


@pytest.mark.parametrize("line", ['{"id": "q"}', '{"id": "q", "query": " "}', "[1]", "{", '{"query": "rain"}'])
def test_a_line_that_is_no_query_is_named(source: Path, tmp_path: Path, line: str):
    build(source, tmp_path / "index")
    (tmp_path / "queries.jsonl").write_text('{"id": "q", "query": "rain"}\n' + line)
    found = index("search", tmp_path / "index", "--queries", tmp_path / "queries.jsonl", "--json")
    assert found.returncode == 1
    assert found.stdout == ""
    assert "queries.jsonl, line 2" in " ".join(found.stderr.split())


def test_two_tools_with_one_id_are_named(tmp_path: Path):
    (tmp_path / "tools.jsonl").write_text('{"id": "a", "name": "x"}\n{"id": "a", "name": "y"}')
    assert "lines 1 and 2 have the same id 'a'" in build(tmp_path / "tools.jsonl", tmp_path / "index").stderr


def test_ids_tell_tools_of_one_name_apart(tmp_path: Path):
    (tmp_path / "tools.jsonl").write_text('{"id": "a", "name": "x"}\n{"id": "b", "name": "x"}')
    assert build(tmp_path / "tools.jsonl", tmp_path / "index").returncode == 0


def test_an_index_that_is_being_built_takes_no_changes(source: Path, tmp_path: Path):
    build(source, tmp_path / "index")
    with building(tmp_path / "index"):
        refused = index("update", tmp_path / "index", "--remove", "forecast")
    assert "another process is building" in " ".join(refused.stderr.split())
    assert index("update", tmp_path / "index", "--remove", "forecast").returncode == 0
    refused = index("update", tmp_path / "none", "--remove", "forecast")
    assert "there is no tool index" in " ".join(refused.stderr.split())
    assert not (tmp_path / "none").exists()


def test_an_index_takes_changes(source: Path, tmp_path: Path):
    build(source, tmp_path / "index")
    (tmp_path / "more.jsonl").write_text('{"name": "snow", "description": "How much snow will fall."}')
    changed = index("update", tmp_path / "index", tmp_path / "more.jsonl", "--remove", "forecast")
    assert (changed.returncode, changed.stdout) == (0, f"3 tools in {tmp_path / 'index'}\n")
    found = index("search", tmp_path / "index", "rain or snow", "--json").stdout
    assert '"snow"' in found
    assert '"forecast"' not in found
    assert "no tool 'forecast'" in index("update", tmp_path / "index", "--remove", "forecast").stderr


def test_a_toolset_that_is_not_there_is_told_with_the_nearest(source: Path, tmp_path: Path):
    build(source, tmp_path / "index")
    failed = index("search", tmp_path / "index", "rain in a city", "--toolset", "wether")
    assert failed.returncode != 0
    assert "no toolset 'wether' in the index; near: weather" in failed.stderr
