"""ToolHop's functions: complete, confined, and silent about the tasks they come from."""

import ast
import inspect

import pytest

from deepagent.errors import ToolFailedError
from deepagent.evaluation.registry import get_benchmark
from deepagent.sandbox import SandboxConfig
from deepagent.toolsets.toolhop import toolset as module
from deepagent.toolsets.toolhop.toolset import ToolHop, catalogue


def function(row) -> ast.FunctionDef:
    found = [node for node in ast.parse(row["source"]).body if isinstance(node, ast.FunctionDef)]
    return next(node for node in found if node.name == row["function"])


@pytest.fixture
def foreign(monkeypatch):
    """A toolset whose only function has the given source."""

    def make(source: str) -> ToolHop:
        row = {"name": "f", "function": "f", "description": "", "parameters": {"type": "object"}, "source": source}
        monkeypatch.setattr(module, "catalogue", lambda: (row,))
        return ToolHop(SandboxConfig())

    return make


def test_there_are_235_tools_and_no_two_share_a_name():
    assert len({row["name"] for row in catalogue()}) == len(catalogue()) == 235


def test_every_source_compiles_and_its_function_takes_what_the_schema_names():
    for row in catalogue():
        arguments = function(row).args
        taken = {argument.arg for argument in [*arguments.args, *arguments.kwonlyargs]}
        properties = set(row["parameters"]["properties"])
        needed = {argument.arg for argument in arguments.args[: len(arguments.args) - len(arguments.defaults)]}
        assert properties <= taken or arguments.kwarg, row["name"]
        assert needed <= properties, row["name"]


def test_the_catalogue_says_nothing_of_tasks_and_answers():
    for row in catalogue():
        assert set(row) == {"name", "function", "description", "parameters", "source"}
    shown = "\n".join(tool.spec.model_dump_json() for tool in ToolHop(SandboxConfig()).tools).lower()
    for task in get_benchmark("toolhop").tasks():
        assert task.id not in shown
        assert task.prompt.splitlines()[0].lower() not in shown
        assert len(task.gold) < 6 or task.gold.lower() not in shown


async def test_real_functions_answer_and_tell_bad_arguments():
    tools = {tool.name: tool for tool in ToolHop(SandboxConfig()).tools}
    assert inspect.iscoroutinefunction(tools["extract_last_name"].invoke)
    async with ToolHop(SandboxConfig()) as toolset:
        one = next(tool for tool in toolset.tools if tool.name == "extract_last_name")
        with pytest.raises(ToolFailedError, match="extract_last_name failed: TypeError"):
            await one.invoke({"no_such_argument": 1})


async def test_what_a_source_prints_is_not_its_result(foreign):
    async with foreign(
        "print('examples')\ndef f(**_):\n    print('more')\n    return {'a': [1]}\nprint(f())"
    ) as toolset:
        assert await toolset.tools[0].invoke({}) == {"a": [1]}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(): raise KeyError('x')", "f failed: KeyError: 'x'"),
        ("def f(): return g()", "f failed: NameError"),
        ("def f(:", "f failed: SyntaxError"),
        ("1/0", "f failed: ZeroDivisionError"),
        ("x = 1", "f failed: KeyError"),
        ("import os\ndef f(): os._exit(1)", "f failed: the interpreter is gone"),
        ("import sys\ndef f(): sys.exit(1)", "f failed: "),
        ("def f(): return open(__import__('os').environ['HOME'] + '/.profile').read()", "f failed: "),
        ("import socket\ndef f(): return socket.create_connection(('127.0.0.1', 9))", "f failed: "),
    ],
)
async def test_whatever_a_function_does_is_its_failure_alone(foreign, source, words):
    async with foreign(source) as toolset:
        with pytest.raises(ToolFailedError) as caught:
            await toolset.tools[0].invoke({})
    assert words in str(caught.value)


async def test_functions_cannot_read_the_host(foreign, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    async with foreign(f"def f(): return open({str(secret)!r}).read()") as toolset:
        with pytest.raises(ToolFailedError, match="FileNotFoundError"):
            await toolset.tools[0].invoke({})


async def test_a_result_too_large_or_forged_is_a_failure(foreign):
    for source in ("def f(): return 'x' * 1_000_000", "import os\ndef f():\n    os.write(1, b'forged')\n    return 1"):
        async with foreign(source) as toolset:
            with pytest.raises(ToolFailedError):
                await toolset.tools[0].invoke({})


async def test_an_endless_function_is_given_up_and_the_next_call_works(foreign, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS", 1)
    async with foreign("def f(forever=False):\n    while forever: pass\n    return 1") as toolset:
        with pytest.raises(ToolFailedError, match="did not end within 1 s"):
            await toolset.tools[0].invoke({"forever": True})
        assert await toolset.tools[0].invoke({}) == 1
