"""Real MCP servers, over stdio and HTTP: what they do well, and what they do to us."""

import asyncio
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from deepagent.agent import Agent
from deepagent.errors import ToolFailedError, ToolTimeoutError, UsageError
from deepagent.models import ScriptedModel
from deepagent.runs.events import Observed
from deepagent.runs.store import RunStore
from deepagent.tools import check_arguments
from tests.support import HASHED, answer
from tests.support import call as run_call
from tests.toolsets.servers import serving

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

from deepagent.toolsets.mcp import McpConfig, McpServer
from deepagent.toolsets.mcp_content import visible
from tests.toolsets import mcp_server

BENCH = Path(__file__).parent / "mcp_server.py"


def bench(folder: Path = Path("/nonexistent"), **settings) -> McpServer:
    return McpServer(McpConfig.model_validate({"command": [sys.executable, str(BENCH), str(folder)], **settings}))


def hostile(tmp_path: Path, code: str, **settings) -> McpServer:
    """A server of raw lines: `code` reads `requests()` and writes with `send`."""
    head = """
    import json, sys
    def send(what): print(what if isinstance(what, str) else json.dumps(what), flush=True)
    def requests():
        for line in sys.stdin:
            yield json.loads(line)
    def answer(request, result): send({"jsonrpc": "2.0", "id": request["id"], "result": result})
    def greet(request):
        method = request["method"]
        if method == "initialize":
            info = {"name": "h", "version": "1"}
            answer(request, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info})
        elif method == "tools/list":
            answer(request, {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]})
        elif "id" in request and method != "tools/call":
            send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}})
        return method == "tools/call"
    """
    path = tmp_path / "hostile.py"
    path.write_text(textwrap.dedent(head) + textwrap.dedent(code))
    return McpServer(McpConfig.model_validate({"command": [sys.executable, str(path)], **settings}))


async def call(server: McpServer, name: str, **arguments):
    tool = next(tool for tool in server.tools if tool.name == name)
    return await tool.invoke(check_arguments(tool.spec, arguments))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (no event crosses the processes)
            await asyncio.sleep(0.01)


async def test_tools_are_listed_and_called_over_stdio():
    async with bench() as server:
        assert server.name == "test_bench"
        assert {"add", "move", "read_resource"} <= {tool.name for tool in server.tools}
        assert await call(server, "add", a=1, b=2) == 3
        assert await call(server, "move", point={"x": 1}) == {"x": 2, "y": None}
        assert await call(server, "read_resource", uri="note://one") == "note one"


async def test_the_same_server_is_called_over_http():
    with serving(mcp_server.server.streamable_http_app()) as url:
        async with McpServer(McpConfig(url=f"{url}/mcp", only=("add", "pic*"))) as server:
            assert [tool.name for tool in server.tools if tool.name != "read_resource"] == ["add", "picture"]
            assert await call(server, "add", a=1, b=2) == 3


async def test_an_http_server_that_is_away_is_told():
    with pytest.raises(UsageError, match=r"the MCP server 'http://127\.0\.0\.1:1/mcp' cannot be used"):
        async with McpServer(McpConfig(url="http://127.0.0.1:1/mcp?key=canary", start_seconds=5)):
            pass


async def test_what_no_text_can_show_is_described():
    async with bench() as server:
        assert await call(server, "picture") == "Here:\n[image image/png, 72 bytes]"
        enclosed = "enclosed text\n[resource note://table, text/csv, 9 bytes]\n[resource more: note://more]"
        assert await call(server, "encloses") == enclosed


async def test_in_a_run_data_is_kept_and_can_be_read_and_looked_at(tmp_path, walls):
    pytest.importorskip("PIL")
    script = [
        run_call("picture"),
        run_call("read_file", path="picture.png"),
        run_call("ask_image", image="picture.png", question="What is it?"),
        run_call("encloses"),
        run_call("read_file", path="encloses.csv"),
        answer("done"),
    ]
    seer = ScriptedModel([], chat_replies=["A dot."])
    with RunStore(tmp_path / "runs.sqlite") as store:
        source = {"kind": "mcp", "command": [sys.executable, str(BENCH)]}
        agent = Agent(ScriptedModel(script), [source, "research"], config=HASHED, store=store, vision=seer)
        run = await agent.run("Look.")
        seen = [one.event.observation.text for one in store.events(run.id) if isinstance(one.event, Observed)]
        assert store.files(run.id)["picture.png"] == mcp_server.PIXEL
    assert seen[0] == "Here:\n[image image/png, 72 bytes; kept as the file 'picture.png']"
    assert "PNG image, 1 x 1" in seen[1]
    assert seen[2] == "A dot."
    assert "kept as the file 'encloses.csv'" in seen[3]
    assert "a,b\n1,2" in seen[4]


async def test_a_refusal_is_told_in_the_servers_words():
    async with bench() as server:
        with pytest.raises(ToolFailedError, match=r"refuses failed: .*not today"):
            await call(server, "refuses")
        assert await call(server, "add", a=1, b=1) == 2


async def test_a_server_sees_the_variables_it_was_given_and_what_it_tells_of_them_is_struck_out(monkeypatch):
    monkeypatch.setenv("CANARY", "canary-4711")
    monkeypatch.setenv("NOT_GIVEN", "canary-4712")
    async with bench(env={"GIVEN": {"env": "CANARY"}}) as server:
        assert await call(server, "secrets") == "[credential] None"


async def test_progress_is_a_sign_of_life_and_silence_is_none(tmp_path):
    async with bench(tmp_path, seconds=0.4) as server:
        assert await call(server, "slow") == "done"
        with pytest.raises(ToolTimeoutError, match=r"waits was silent for 0\.4 s"):
            await call(server, "waits")


async def test_a_call_that_is_given_up_is_cancelled_at_the_server(tmp_path):
    async with bench(tmp_path) as server:
        pending = asyncio.create_task(call(server, "waits"))
        await until((tmp_path / "began").exists)
        pending.cancel()
        await until((tmp_path / "cancelled").exists)
        assert await call(server, "add", a=1, b=1) == 2


async def test_calls_at_the_same_time_do_not_wait_for_one_another(tmp_path):
    async with bench(tmp_path) as server:
        pending = asyncio.create_task(call(server, "waits"))
        assert await asyncio.gather(*(call(server, "add", a=n, b=n) for n in range(5))) == [0, 2, 4, 6, 8]
        pending.cancel()


async def test_a_server_that_dies_is_told_and_started_again():
    async with bench() as server:
        with pytest.raises(
            ToolFailedError, match=r"broke off; whether it had an effect is not known; it said: .*last words"
        ):
            await call(server, "dies")
        assert await call(server, "add", a=1, b=2) == 3


async def test_tools_that_change_are_listed_again_and_the_old_ones_are_not_called():
    async with bench() as server:
        before = {tool.name: tool for tool in server.tools}
        assert await call(server, "grows") == "grown"
        await until(lambda: "subtract" in {tool.name for tool in server.tools})
        with pytest.raises(ToolFailedError, match=r"add has changed and was not called. It is now: add\(c: str\)"):
            await before["add"].invoke({"a": 1, "b": 2})
        assert await call(server, "add", c="x") == "x"


async def test_hidden_characters_of_descriptions_are_not_shown():
    async with bench() as server:
        assert next(tool for tool in server.tools if tool.name == "add").spec.description == "Adds. nore"
    assert visible("a\u202eb\ufeff") == "ab"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('boom')"], "it said: boom"),
        (["/nonexistent/program"], "No such file"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "it did not answer within 1 s"),
        ([sys.executable, "-c", "while True: print('noise')"], "cannot be used"),
    ],
)
async def test_a_server_that_does_not_start_is_told_in_one_line(command, words):
    with pytest.raises(UsageError) as caught:
        async with McpServer(McpConfig(command=tuple(command), start_seconds=1)):
            pass
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_lines_that_are_no_messages_are_passed_over(tmp_path):
    code = """
    send("not json"); send("[]"); send('{"jsonrpc": "2.0", "id": 99, "result": {}}')
    for request in requests():
        if greet(request):
            send('{"half')
            send({"jsonrpc": "2.0", "method": "no/such/thing"})
            answer(request, {"content": [{"type": "text", "text": "fine"}]})
    """
    async with hostile(tmp_path, code) as server:
        assert await call(server, "t") == "fine"


@pytest.mark.parametrize("result", ["[]", "3", '{"content": [{"type": "alien"}]}', '{"content": "text"}'])
async def test_an_answer_that_is_none_is_a_failure_of_the_tool(tmp_path, result):
    code = f"""
    for request in requests():
        if greet(request):
            answer(request, json.loads({result!r}))
    """
    async with hostile(tmp_path, code, seconds=1) as server:
        with pytest.raises((ToolFailedError, ToolTimeoutError), match=r"^t (failed: |was silent)"):
            await call(server, "t")


@pytest.mark.parametrize(
    ("settings", "words"), [({}, "either command or url"), ({"command": ["a"], "url": "b"}, "either command or url")]
)
def test_a_server_is_named_in_one_way(settings, words):
    with pytest.raises(ValueError, match=words):
        McpConfig.model_validate(settings)


@pytest.mark.npm
async def test_a_published_server_is_called():
    program = Path(__file__).parents[2] / ".npm" / "node_modules" / ".bin" / "mcp-server-everything"
    if not program.exists():
        pytest.skip("the published server is not installed; `make test-mcp` does it")
    async with McpServer(McpConfig(command=(str(program), "stdio"))) as server:
        assert await call(server, "echo", message="hello") == "Echo: hello"
        assert "image image/png" in await call(server, "get-tiny-image")
        assert len(server.tools) > 5
