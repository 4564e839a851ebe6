"""`deepagent tools`, as a process."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command, complaint
from tests.toolsets.openapi import shop_app
from tests.toolsets.servers import serving

BENCH = Path(__file__).parents[1] / "toolsets" / "mcp_server.py"


@pytest.fixture
def sources(tmp_path: Path):
    """A file of functions, a document with its running server, an MCP server."""
    (tmp_path / "mine.py").write_text(
        'def add(a: int, b: int) -> int:\n    """Adds \\x1b[31m numbers."""\n    return a + b\n'
    )
    app = shop_app.make()
    (tmp_path / "shop.json").write_text(json.dumps(app.openapi()))
    with serving(app) as url:
        yield {
            "python": "python:mine.py",
            "openapi": f"openapi:shop.json#{url}",
            "mcp": f"mcp:{sys.executable} {BENCH} x",
        }


def test_tools_of_several_sources_are_listed_under_names_of_their_own(deepagent: Command, sources, tmp_path):
    done = deepagent("tools", "list", "-t", sources["python"], "-t", sources["openapi"], "-t", sources["mcp"], "--json")
    names = {spec["name"]: spec["toolset"] for spec in json.loads(done.stdout)}
    assert names["mine_add"] == "", "a file's functions"
    assert names["test_bench_add"] == "test_bench"
    assert "form_form_post" in names
    table = deepagent("tools", "list", "-t", sources["python"], "--match", "NUMBERS", env={"COLUMNS": "200"})
    assert "add" in table.stdout
    assert "\x1b" not in table.stdout


def test_a_tool_is_shown_as_the_model_sees_it(deepagent: Command, sources):
    done = deepagent("tools", "show", "form_form_post", "-t", sources["openapi"])
    assert done.stdout.startswith("form_form_post(body: dict)\n    Form\n    body:  {name: str, age: int}")
    assert '"age"' in done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "arguments", "result"),
    [
        ("python", "add", {"a": 1, "b": 2}, "3"),
        ("mcp", "add", {"a": 1, "b": 2}, "3"),
        ("openapi", "form_form_post", {"body": {"name": "Ada", "age": 36}}, '{"name": "Ada", "age": 36}'),
    ],
)
def test_a_tool_of_each_kind_is_called(deepagent: Command, sources, kind, name, arguments, result):
    done = deepagent("tools", "call", name, json.dumps(arguments), "-t", sources[kind])
    assert (done.stdout.strip(), done.returncode) == (result, 0), done.stderr


def test_a_dry_run_shows_the_request(deepagent: Command, sources):
    body = json.dumps({"body": {"name": "Ada & co", "age": 36}})
    done = deepagent("tools", "call", "form_form_post", body, "-t", sources["openapi"], "--dry-run")
    assert done.stdout.startswith("POST http://127.0.0.1:")
    assert done.stdout.endswith("\n\nname=Ada%20%26%20co&age=36\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list"], 2, "no tools are named"),
        (["show", "ad", "-t", "python:mine.py"], 2, "there is no tool 'ad'; there is add"),
        (["call", "add", "{", "-t", "python:mine.py"], 2, "no JSON"),
        (["call", "add", "[]", "-t", "python:mine.py"], 2, "no JSON object"),
        (["call", "add", '{"a": "x"}', "-t", "python:mine.py"], 2, "'b' is a required property"),
        (["call", "add", '{"a": 1, "b": 2}', "-t", "python:mine.py", "--dry-run"], 2, "sends no request"),
        (["list", "-t", "openapi:none.json"], 2, "cannot be read"),
        (["list", "-t", "mcp:/nonexistent/program"], 2, "No such file"),
        (["list", "-c", "tools.yaml"], 2, "unknown key 'onli'; did you mean 'only'"),
    ],
)
def test_mistakes_are_told_in_one_line(deepagent: Command, sources, tmp_path, arguments, code, words):
    (tmp_path / "tools.yaml").write_text("tools: [{kind: openapi, document: shop.json, onli: []}]")
    assert words in complaint(deepagent("tools", *arguments), code)


def test_a_config_names_toolsets(deepagent: Command, sources, tmp_path):
    text = "tools:\n  - python:mine.py\n  - {kind: openapi, document: shop.json, name: store, only: ['form*']}\n"
    (tmp_path / "tools.yaml").write_text(text)
    done = deepagent("tools", "list", "-c", "tools.yaml", "--json")
    assert [(spec["name"], spec["toolset"]) for spec in json.loads(done.stdout)] == [
        ("add", ""),
        ("form_form_post", "store"),
    ]
