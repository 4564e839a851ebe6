"""Tool sources by name; a user's own files are loaded, and what is wrong with them is told in a line."""

import json
import sys
from pathlib import Path

import pytest

from deepagent.errors import ToolDefinitionError, UsageError
from deepagent.toolsets.base import Host
from deepagent.toolsets.resolve import open_toolset


def source(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return f"python:{folder / name}"


def open_(where: str):
    return open_toolset(where, Host())


async def test_public_functions_of_a_file_are_tools(tmp_path):
    toolset = open_(
        source(tmp_path, "import os\nfrom json import loads\ndef add(a: int) -> int: return a\ndef _b(): ...")
    )
    assert toolset.name == "mine"
    async with toolset:
        assert [tool.name for tool in toolset.tools] == ["add"]
        assert await toolset.tools[0].invoke({"a": 2}) == 2


def test_decorated_functions_are_the_only_tools_where_there_are_some(tmp_path):
    text = "from deepagent import tool\n@tool\ndef one() -> int: return 1\ndef helper(): ..."
    assert [tool.name for tool in open_(source(tmp_path, text)).tools] == ["one"]


def test_a_file_may_define_the_types_it_uses(tmp_path):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Box:\n    width: int\ndef area(box: Box) -> int: return box.width ** 2\n"
    )
    (tool,) = open_(source(tmp_path, text)).tools
    assert tool.spec.parameters["$defs"]["Box"]["required"] == ["width"]


def test_a_file_never_passes_for_another_module(tmp_path):
    open_(source(tmp_path, "def add(a: int): return a", "json.py"))
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:", "cannot be imported: SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise ValueError('a\\nb')", "ValueError: a b"),
        ("x = 1", "defines no tools; decorate functions with @tool"),
        ("\0", "cannot be imported"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(tmp_path, text, words):
    with pytest.raises(UsageError) as caught:
        open_(source(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_signature_that_is_no_tool_names_function_and_parameter(tmp_path):
    with pytest.raises(ToolDefinitionError, match="f: parameter 'a' cannot be passed by name"):
        open_(source(tmp_path, "def f(*a): ..."))


@pytest.mark.parametrize("where", ["", "nonsense", "nonsense:x", "python", "python:", ":", "openapi:"])
def test_an_unknown_source_is_answered_with_the_known_ones(where):
    with pytest.raises(UsageError, match=r"known are api_bank\[:3\], m3tooleval, toolhop, toolbench, python:FILE\.py"):
        open_(where)


@pytest.mark.parametrize("where", ["python:none.py", "python:no_such_module", "python:.", "python:..", "python:a b"])
def test_what_is_not_there_is_told(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"there is no Python file|cannot be imported"):
        open_(where)


def test_a_forgotten_ending_is_noticed(tmp_path, monkeypatch):
    source(tmp_path, "x = 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"for the file write python:mine\.py"):
        open_("python:mine")


@pytest.mark.parametrize(
    ("file", "meant"), [("my_tools.py", "python"), ("shop.yaml", "openapi"), ("shop.json", "openapi")]
)
def test_a_bare_path_is_answered_with_the_spelling_that_was_meant(tmp_path, monkeypatch, file, meant):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="known are"):
        open_toolset(file, Host())
    (tmp_path / file).touch()
    with pytest.raises(UsageError, match=f"for the file write {meant}:{file}"):
        open_toolset(file, Host())
