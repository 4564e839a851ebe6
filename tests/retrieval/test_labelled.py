import gzip
import json
from pathlib import Path

import pytest

from deepagent.errors import UsageError
from deepagent.retrieval.labelled import BUILT_IN, Half, read_set

TOOLS = [{"id": "shop:1", "name": "list_orders", "description": "Orders."}, {"name": "forecast"}]
QUERIES = [
    {"id": "a", "query": "which orders", "gold": ["shop:1"], "subset": "easy", "note": "not read"},
    {"id": "b", "query": "rain", "gold": ["forecast"], "subset": "hard"},
]


def write(folder: Path, tools: list[dict], queries: list[dict]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tools.jsonl").write_text("\n".join(map(json.dumps, tools)))
    with gzip.open(folder / "queries.jsonl.gz", "wt") as stream:
        stream.write("\n".join(map(json.dumps, queries)))
    return folder


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_sets_are_whole(name: str):
    labelled = read_set(name)
    names = {tool.spec.name for tool in labelled.tools}
    assert len(labelled.tools) == len({tool.known_as for tool in labelled.tools}) == len(names)
    assert len({query.id for query in labelled.queries}) == len(labelled.queries)


def test_a_folder_or_its_file_of_queries_is_a_set(tmp_path: Path):
    folder = write(tmp_path / "mine", TOOLS, QUERIES)
    by_folder, by_file = read_set(str(folder)), read_set(str(folder / "queries.jsonl.gz"))
    assert by_folder == by_file
    assert (by_folder.name, [tool.known_as for tool in by_folder.tools]) == ("mine", ["shop:1", "forecast"])
    assert by_folder.subsets == ("easy", "hard")


@pytest.mark.parametrize(
    ("tools", "queries", "problem"),
    [
        (TOOLS, [{"id": "a", "query": "rain", "gold": ["snow"]}], "line 1: no tool in tools.jsonl has the id 'snow'"),
        (TOOLS, [{"id": "a", "query": "rain", "gold": []}], "line 1: gold"),
        (TOOLS, [{"query": "rain", "gold": ["forecast"]}], "line 1: id"),
        (TOOLS, [], "holds no queries"),
    ],
)
def test_what_is_wrong_with_a_set_is_told(tmp_path: Path, tools: list[dict], queries: list[dict], problem: str):
    with pytest.raises(UsageError, match=problem):
        read_set(str(write(tmp_path, tools, queries)))


def test_an_unknown_set_tells_the_known_ones():
    with pytest.raises(UsageError, match="toolbench, bfcl"):
        read_set("toolbanch")


def test_a_folder_without_queries_is_no_set(tmp_path: Path):
    (tmp_path / "tools.jsonl").write_text(json.dumps(TOOLS[0]))
    with pytest.raises(UsageError, match=r"no queries.jsonl"):
        read_set(str(tmp_path))


def test_halves_share_no_query_and_leave_none_out():
    whole = read_set("restbench_tmdb")
    tuning, reporting = whole.half(Half.TUNING), whole.half(Half.REPORTING)
    ids = [query.id for query in (*tuning.queries, *reporting.queries)]
    assert sorted(ids) == sorted(query.id for query in whole.queries)
    assert 35 < len(tuning.queries) < 65
    assert whole.half(Half.ALL) == whole


def test_near_copies_stay_in_one_half():
    halves = [read_set("bfcl").half(half) for half in (Half.TUNING, Half.REPORTING)]
    groups = [
        {(query.id.rsplit("_", 1)[0], query.id.split("-")[1]) for query in half.queries if query.id.startswith("live_")}
        for half in halves
    ]
    assert all(groups)
    assert not groups[0] & groups[1]
