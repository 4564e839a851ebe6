"""One task that needs tools of every kind, each found by search alone."""

import json
import sys
from pathlib import Path

import pytest

from deepagent import AgentConfig
from tests.support import answer, call, execute, record
from tests.toolsets.openapi import shop_app
from tests.toolsets.servers import serving

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

BENCH = Path(__file__).parent / "mcp_server.py"
CONFIG = AgentConfig(encoder="hash", cards=0, found=2)


def discount(price: int) -> int:
    """Price after the discount of loyal customers."""
    return price - 5


def search(query: str) -> str:
    return f"I look for it.\n<tool_search>{query}</tool_search>"


async def test_a_run_finds_and_calls_tools_of_every_kind(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", shop_app.KEY)
    (tmp_path / "notes.py").write_text(
        'def read_note(title: str) -> str:\n    """Text of a note."""\n    return "lamp"\n'
    )
    app = shop_app.make()
    (tmp_path / "shop.json").write_text(json.dumps(app.openapi()))
    script = [
        search("text of a note"),
        call("read_note", title="wish"),
        search("discount of loyal customers"),
        call("discount", price=40),
        search("order something"),
        call("order_orders_customer_post", customer=7, body={"sku": "lamp"}),
        search("adds"),
        execute("print(add(a=discount(price=40), b=1))"),
        search("by header"),
        call("by_header_by_header_get"),
        answer("36"),
    ]
    with serving(app) as url:
        tools = [
            discount,
            f"python:{tmp_path / 'notes.py'}",
            {
                "kind": "openapi",
                "document": str(tmp_path / "shop.json"),
                "server": url,
                "credentials": {"APIKeyHeader": {"token": {"env": "SHOP_KEY"}}},
            },
            {"kind": "mcp", "command": [sys.executable, str(BENCH)]},
        ]
        recording = await record(script, tmp_path, tools=tools, config=CONFIG)
    seen = recording.observations
    assert recording.run is not None
    assert recording.run.answer == "36"
    assert seen[1] == "lamp"
    assert seen[3] == "35"
    assert json.loads(seen[5])["sku"] == "lamp"
    assert seen[7] == "36"
    assert json.loads(seen[9]) == {"right": True, "echo": "[credential]"}
    log = b"".join(path.read_bytes() for path in tmp_path.glob("runs.sqlite*"))
    assert b"canary" not in log, "no credential in prompts, results or the log"


async def test_a_tool_that_changed_during_the_run_is_found_and_called_as_it_is_now(tmp_path):
    script = [
        call("add", a=1, b=2),
        call("grows"),
        search("a new tool"),
        search("a new tool"),
        call("subtract", c="new"),
        call("add", c="changed"),
        answer("done"),
    ]
    tools = [{"kind": "mcp", "command": [sys.executable, str(BENCH)]}]
    seen = (await record(script, tmp_path, tools=tools, config=CONFIG)).observations
    assert (seen[0], seen[4], seen[5]) == ("3", "new", "changed")
