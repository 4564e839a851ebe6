"""`deepagent index`, as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_without_weights_the_remedy_is_told(source: Path, tmp_path: Path):
    built = index("build", source, "--out", tmp_path / "index")
    assert built.returncode == 1
    assert "deepagent models pull all-minilm-l6-v2" in " ".join(built.stderr.split())
    assert not (tmp_path / "index").exists()


def test_a_tool_in_two_sources_is_named(source: Path, tmp_path: Path):
    built = index("build", source, source, "--out", tmp_path / "index", "--encoder", "hash")
    assert built.returncode == 1
    assert "several tools are called" in built.stderr
