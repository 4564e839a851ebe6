"""Canaries in the places where secrets are: none is found in store, log, spans, pages, exports, errors or prompts."""

import logging
import sqlite3
import sys
import traceback
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.testclient import TestClient

from deepagent import Agent, ScriptedModel, tracing
from deepagent.errors import OperatorError, UsageError
from deepagent.runs.events import Observed
from deepagent.runs.export import Format, export
from deepagent.runs.store import RunStore
from deepagent.viewer.app import create_app
from tests.models.fake_server import FakeServer
from tests.support import HASHED, answer, call, execute
from tests.toolsets.openapi import shop_app
from tests.toolsets.servers import serving

CANARY = "canary-5f1d9a37c2"
MCP_SERVER = Path(__file__).parent / "toolsets" / "mcp_server.py"


def everything_shown(path: Path) -> list[str]:
    """All that a store holds, and all that is made of it: rows, events, exports, pages."""
    with RunStore(path) as store:
        runs = [run.id for run in store.runs()]
        recorded = {run: store.events(run) for run in runs}
    shown = [one.model_dump_json() for events in recorded.values() for one in events]
    shown += ["".join(export(events, form)) for events in recorded.values() for form in get_args(Format)]
    addresses = ["/", *(f"/runs/{run}{more}" for run in runs for more in ("", "/entries"))]
    addresses += [f"/compare?run={runs[0]}&run={runs[-1]}"]
    with TestClient(create_app(path), base_url="http://127.0.0.1:7861") as client:
        pages = [client.get(address) for address in addresses]
    assert {page.status_code for page in pages} == {200}
    connection = sqlite3.connect(path)
    shown += [*(page.text for page in pages), *connection.iterdump()]
    connection.close()
    return shown


async def test_the_key_of_a_model_is_found_nowhere(tmp_path, monkeypatch, caplog, walls):
    monkeypatch.setenv("MODEL_KEY", CANARY)
    shown: list[str] = []

    async def echo_key(exchange):
        await exchange.answer(400, f'{{"error": {{"message": "bad key {exchange.headers.get("authorization")}"}}}}')

    script = iter([execute("import os\nprint(dict(os.environ))"), answer("1")])
    async with FakeServer("llama", lambda body: next(script)) as server:
        config = tmp_path / "model.yaml"
        config.write_text(f"kind: http\nurl: {server.url}\napi_key: {{env: MODEL_KEY}}\n")
        with caplog.at_level(logging.DEBUG), RunStore(tmp_path / "r.sqlite") as store:
            run = await Agent(str(config), config=HASHED, store=store).run("Do it.")
            server.faults = [echo_key] * 10
            with pytest.raises(OperatorError, match="bad key") as refused:
                await Agent(str(config), config=HASHED, store=store).run("Do it.")
            shown += traceback.format_exception(refused.value)
            assert [one.state for one in store.runs()] == ["failed", "answered"]
        assert any(CANARY in str(exchange.headers) for exchange in server.seen), "the key was never used"
        shown += [str(exchange.body) for exchange in server.seen]
    assert run.answer == "1"
    shown += everything_shown(tmp_path / "r.sqlite")
    assert CANARY not in "\n".join([*shown, caplog.text])


SEARCH_KEY, MCP_KEY = "canary-search-77ab1", "canary-mcp-31f0e"
CANARIES = (SEARCH_KEY, MCP_KEY, shop_app.KEY, "canary-wrong")


@pytest.fixture
def spans(monkeypatch) -> Any:
    """The spans of the runs, without a provider that all other tests would have too."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "tracer", lambda run: tracing.RunTracer(provider.get_tracer("test"), run))
    return exporter


@pytest.fixture
def sources(tmp_path, monkeypatch) -> Iterator[tuple[list[dict[str, Any]], list[str]]]:
    """Three sources with a credential each, whose servers echo what they get; and the keys that came to the engine."""
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    for name, value in {"SEARCH": SEARCH_KEY, "MCP": MCP_KEY, "SHOP": shop_app.KEY, "WRONG": "canary-wrong"}.items():
        monkeypatch.setenv(f"{name}_KEY", value)
    came: list[str] = []
    engine = FastAPI()

    @engine.post("/search")
    async def serper(request: Request) -> Any:
        key = request.headers["x-api-key"]
        came.append(key)
        if len(came) > 1:
            return PlainTextResponse(f"bad key {key}", 403)
        return {"organic": [{"title": f"found with {key}", "link": f"https://a.test/?k={key}", "snippet": key}]}

    with ExitStack() as stack:
        shop, search = (stack.enter_context(serving(app)) for app in (shop_app.make(), engine))
        with urllib.request.urlopen(f"{shop}/openapi.json") as served:
            (tmp_path / "shop.json").write_bytes(served.read())
        by_header = {"APIKeyHeader": {"token": {"env": "SHOP_KEY"}}, "HTTPBearer": {"token": {"env": "WRONG_KEY"}}}
        yield (
            [
                {"kind": "openapi", "document": str(tmp_path / "shop.json"), "server": shop, "credentials": by_header},
                {"kind": "mcp", "command": [sys.executable, str(MCP_SERVER)], "env": {"GIVEN": {"env": "MCP_KEY"}}},
                {"kind": "research", "search": {"engine": "serper", "url": search, "key": {"env": "SEARCH_KEY"}}},
            ],
            came,
        )


async def test_the_credentials_of_tools_are_found_nowhere(tmp_path, caplog, walls, spans, sources):
    tools, came = sources
    script = [
        call("by_header_by_header_get"),  # its key is echoed in a result
        call("by_bearer_by_bearer_get"),  # and in an error
        call("secrets"),
        call("web_search", query="whales"),
        call("web_search", query="fish"),
        execute("import os\nprint(dict(os.environ), secrets(), by_header_by_header_get())"),
        answer("1"),
    ]
    config = HASHED.model_copy(update={"cards": 60})
    model, path = ScriptedModel(script, context=16384), tmp_path / "r.sqlite"
    with caplog.at_level(logging.DEBUG), RunStore(path) as store:
        run = await Agent(model, tools, config=config, store=store).run("Do it.")
        seen = [one.event.observation.text for one in store.events(run.id) if isinstance(one.event, Observed)]
    assert run.answer == "1"
    assert came == [SEARCH_KEY] * 2
    for number, text in enumerate(seen):
        assert "[credential]" in text, f"step {number + 1} brought no credential, so nothing was tested: {text}"
    assert '"right": true' in seen[0].lower().replace("'", '"')
    told = [span.to_json() for span in spans.get_finished_spans()]
    assert len(told) > len(script)
    assert caplog.records
    logged = [caplog.text, *(str(vars(record)) for record in caplog.records)]
    whole = "\n".join([*everything_shown(path), *model.prompts, *told, *logged])
    assert [canary for canary in CANARIES if canary in whole] == []


async def test_a_server_that_tells_its_environment_as_it_dies_gives_nothing_away(tmp_path, monkeypatch, caplog):
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    monkeypatch.setenv("MCP_KEY", MCP_KEY)
    program = "import os, sys; sys.exit(f'cannot start with {os.environ}')"
    source = {"kind": "mcp", "command": [sys.executable, "-c", program], "env": {"GIVEN": {"env": "MCP_KEY"}}}
    async with FakeServer("llama") as server:
        with caplog.at_level(logging.DEBUG), pytest.raises(UsageError, match="cannot start with") as refused:
            await Agent(f"{server.url}#m", [source], config=HASHED, store=tmp_path / "r.sqlite").run("Do it.")
    assert "[credential]" in str(refused.value)
    assert MCP_KEY not in "".join(traceback.format_exception(refused.value)) + caplog.text
