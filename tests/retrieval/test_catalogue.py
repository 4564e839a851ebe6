import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent.errors import UsageError
from deepagent.retrieval import read_catalogue
from deepagent.retrieval.catalogue import read_entries
from deepagent.retrieval.text import tool_text
from deepagent.tools import ToolSpec


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "tools.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_tools_are_read_in_their_order(tmp_path: Path):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    path = write(tmp_path, {"name": "b", "toolset": "w", "parameters": schema}, {"name": "a", "description": "A."})
    assert read_catalogue(path) == [
        ToolSpec(name="b", toolset="w", parameters=schema),
        ToolSpec(name="a", description="A."),
    ]


def test_ids_may_be_numbers_and_zero_too(tmp_path: Path):
    path = write(tmp_path, {"id": 0, "name": "a"}, {"id": 1, "name": "b"}, {"id": None, "name": "c"})
    assert [entry.known_as for entry in read_entries(path)] == ["0", "1", "c"]


def test_gzip_is_read_by_its_ending(tmp_path: Path):
    path = tmp_path / "tools.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"name": "a"}\n\n{"name": "b"}\n'))
    assert [spec.name for spec in read_catalogue(path)] == ["a", "b"]


def test_a_list_of_parameters_becomes_a_schema(tmp_path: Path):
    parameters = [
        {"name": "q", "type": "STRING", "description": "Words.", "default": "", "required": True},
        {"name": "n", "type": "int", "required": False, "default": 3},
        {"name": "odd", "type": "TIME (24-hour HH:MM)"},
        "nonsense",
    ]
    spec = read_catalogue(write(tmp_path, {"name": "find", "parameters": parameters}))[0]
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "q": {"type": "string", "description": "Words."},
            "n": {"type": "integer", "default": 3},
            "odd": {},
        },
        "required": ["q"],
    }


def test_names_that_are_shared_are_told_apart_but_keep_their_text(tmp_path: Path):
    shared = [{"name": "Search", "category": "Data", "tool": tool} for tool in ("News", "Maps")]
    single = {"name": "Route", "category": "Data", "tool": "Maps"}
    specs = read_catalogue(write(tmp_path, *shared, single))
    assert [spec.name for spec in specs] == ["Data.News.Search", "Data.Maps.Search", "Route"]
    assert [tool_text(spec) for spec in specs] == ["Data News Search", "Data Maps Search", "Data Maps Route"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "line 2 is not JSON"),
        ("[1]", "line 2 is no JSON object"),
        ("{}", "line 2 is not a tool: name"),
        ('{"name": ""}', "line 2 is not a tool: name"),
        ('{"name": [1]}', "line 2 is not a tool: name"),
        ('{"name": "a", "parameters": 5}', "line 2 is not a tool: parameters"),
        ('{"name": "a", "toolset": {}, "description": []}', ""),
        ('{"name": "\\ud800"}', "line 2 is not a tool: name"),
        ("[" * 100_000, "line 2 is not"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str):
    path = tmp_path / "tools.jsonl"
    path.write_text('{"name": "fine"}\n' + line)
    if not problem:
        assert read_catalogue(path)[1] == ToolSpec(name="a")
        return
    with pytest.raises(UsageError, match=problem):
        read_catalogue(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"name": "a"}')[:-12])
    (tmp_path / "not.jsonl.gz").write_bytes(b"plain")
    for name in ("cut.jsonl.gz", "not.jsonl.gz", "missing.jsonl", "."):
        with pytest.raises(UsageError, match="cannot be read"):
            read_catalogue(tmp_path / name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["name", "description", "toolset", "category", "tool", "parameters"])
PARAMETERS = st.lists(
    st.dictionaries(st.sampled_from(["name", "type", "required", "enum"]), JSON, max_size=4), max_size=3
)


@given(st.lists(st.dictionaries(KEYS, JSON | PARAMETERS), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_tools_or_a_usage_error(tmp_path: Path, rows: list[dict[str, Any]]):
    path = write(tmp_path, *rows)
    try:
        specs = read_catalogue(path)
    except UsageError:
        return
    assert len(specs) == len(rows)
