"""Tracing: silent unless configured; spans reach a collector, in one trace, also those that tools make in threads."""

import http.server
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deepagent import Agent, ScriptedModel, tool
from tests.support import HASHED, answer, call

PROGRAM = """
import asyncio, sys
from pathlib import Path
from deepagent import Agent, ScriptedModel, tool
from deepagent.cli.spans import export_if_configured
from tests.support import HASHED, answer, call, execute

@tool(effect="pure")
def weigh(article: str) -> int:
    'Weighs an article.'
    from opentelemetry import trace
    with trace.get_tracer("shop").start_as_current_span("scales"):  # in a thread: the function is not async
        return 7

export_if_configured()
script = [call("weigh", article="secret-lamp"), execute("print(weigh(article='chair'))"), call("nothing"), answer("14")]
print(asyncio.run(Agent(ScriptedModel(script), [weigh], config=HASHED, store=Path(sys.argv[1])).run("Do it.")).id)
"""


@pytest.fixture
def collector():
    """What spans are sent to: an OTLP server on loopback, and the bodies that it got."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_run_is_one_trace_at_the_collector(collector, tmp_path, walls):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, bodies = collector
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url}
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "r.sqlite")]
    done = subprocess.run(program, env=environ, capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    names = sorted(span.name for span in spans)
    tools = ["execute", "nothing", "weigh", "weigh"]
    ours = ["invoke_agent deepagent", *["chat scripted"] * 4, *(f"execute_tool {name}" for name in tools)]
    assert names == sorted([*ours, "scales", "scales"])
    assert len({span.trace_id for span in spans}) == 1
    (root,) = (span for span in spans if not span.parent_span_id)
    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
    attributes = {one.key: one.value for one in root.attributes}
    assert attributes["gen_ai.operation.name"].string_value == "invoke_agent"
    assert attributes["gen_ai.conversation.id"].string_value == done.stdout.strip()
    (failed,) = (span for span in spans if span.name == "execute_tool nothing")
    assert {one.key: one.value.string_value for one in failed.attributes}["error.type"] == "unknown_tool"
    assert b"secret-lamp" not in b"".join(bodies), "what models and tools say stays in the store"


async def test_without_a_provider_nothing_is_traced(tmp_path):
    from deepagent import tracing

    assert tracing.tracer("r") is None


async def test_a_run_is_told_in_logging_with_its_id(tmp_path, caplog):
    @tool(effect="pure")
    def weigh(article: str) -> int:
        """Weighs an article."""
        return 7

    with caplog.at_level(logging.INFO, logger="deepagent"):
        run = await Agent(
            ScriptedModel([call("weigh", article="secret-lamp"), answer("7")]), [weigh], config=HASHED,
            store=tmp_path / "r.sqlite",
        ).run("Do it.")  # fmt: skip
    assert {record.run for record in caplog.records} == {run.id}
    assert caplog.records[0].event == "started"
    assert caplog.records[-1].getMessage() == f"run {run.id}: ended status=answered steps=2"
    assert "secret-lamp" not in caplog.text
