"""Every example, run as its docstring says. Where a real model would be slow, its part is played by a script."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepagent import RunStore, ScriptedModel
from deepagent.runs.events import Folded, Observed, Resumed
from tests.cli.conftest import deepagent, environment, model  # noqa: F401 (fixtures)
from tests.support import answer, call, execute
from tests.toolsets.servers import serving

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_every_example_is_tested_here_and_fits_on_a_few_screens():
    tested = Path(__file__).read_text()
    for file in EXAMPLES.glob("*.py"):
        assert f"{file.stem}" in tested.partition("def test_every")[2].partition("\n\n\n")[2], file.name
        assert len(file.read_text().splitlines()) <= 100, file.name


@pytest.fixture
def example(environment, tmp_path):  # noqa: F811
    def run(name: str, *words: object) -> str:
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py", *map(str, words)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_research_assistant(example, model, tmp_path, walls):  # noqa: F811
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "bridges.md").write_text("# Bridges\n\nThe old bridge is 120 m long. The new bridge is 310 m long.\n")
    url = model(
        call("web_search", query="length of the bridges"),
        call("browse", url="corpus:bridges.md"),
        execute("print(310 - 120)"),
        answer("The new bridge is 190 m longer."),
    )
    example("research_assistant", "Which bridge is longer?", "--documents", folder, "--model", url)
    report = (tmp_path / "report.md").read_text()
    assert "The new bridge is 190 m longer." in report
    assert "bridges" in report.partition("## Sources")[2]
    assert "none was read" not in report


def test_openapi_catalogue(example, model, tmp_path):  # noqa: F811
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI(title="Pets")

    @app.get("/pets/{kind}", operation_id="count_pets", summary="How many pets of a kind are for sale")
    def count_pets(kind: str) -> dict[str, int]:
        return {"count": {"cats": 3, "dogs": 5}[kind]}

    for thing in ("cages", "collars", "bowls", "leads", "baskets", "brushes"):  # more than are shown in a prompt
        app.post(f"/{thing}", operation_id=f"order_{thing}", summary=f"Order {thing}")(lambda: "ordered")
    (tmp_path / "pets.json").write_text(json.dumps(app.openapi()))
    with serving(app) as server:
        url = model(
            "<tool_search>number of pets for sale</tool_search>",
            call("count_pets", kind="dogs"),
            call("order_bowls"),
            answer("5"),
        )
        told = example("openapi_catalogue", "How many dogs?", "--source", f"openapi:pets.json#{server}", "--model", url)
    assert told.splitlines()[-1] == "5 (answered, 4 steps)"
    assert "7 tools in" in told
    with RunStore(tmp_path / "runs.sqlite") as store:
        events = [recorded.event for recorded in store.events(store.runs()[0].id)]
    said = [event.observation.text for event in events if isinstance(event, Observed)]
    assert "count_pets" in said[0]
    assert '"count":5' in said[1].replace(" ", ""), "the server was called, through the index"
    assert "not approved" in said[2], "what changes something was not asked for"


def test_long_task(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import asyncio

    import long_task

    replies = [*(call("read_page", number=number) for number in range(1, 21)), answer("7")]
    model = ScriptedModel(replies, context=4096, chat_replies=lambda messages, schema: "{}")  # noqa: F811
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = asyncio.run(long_task.work(model, store, pages=20, stop_after=8))
        events = [recorded.event for recorded in store.events(run.id)]
    assert (run.answer, run.status, run.steps) == ("7", "answered", 21)
    assert run.folds >= 2
    assert any(isinstance(event, Folded) for event in events)
    assert sum(isinstance(event, Resumed) for event in events) == 1


def test_custom_benchmark(deepagent, tmp_path):  # noqa: F811
    name = f"python:{EXAMPLES / 'custom_benchmark.py'}"
    for known, solved in (("oracle", 1.0), ("empty", 0.0)):
        done = deepagent("eval", name, "--model", known, "--limit", "4", "--report", "roman.html", timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        shown = json.loads(deepagent("eval", "show", "last", "--json").stdout)
        assert shown["metrics"][0]["corrected"]["mean"] == solved
    assert "custom_benchmark" in (tmp_path / "roman.html").read_text()
    done = deepagent("eval", "python:nowhere.py", "--model", "oracle")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_custom_model(example, walls):
    assert example("custom_model", "17 * 23 + 4").strip() == "395 answered 2 steps"


@pytest.mark.heavy
def test_toolpo(example, tmp_path):
    pytest.importorskip("trl", reason="needs the extra `train`")
    told = example("toolpo", "--out", "tiny", "--tasks", "8", "--steps", "1", "--unseen", "2")
    assert "after demonstrations:" in told
    assert "after ToolPO:" in told
    assert (tmp_path / "tiny" / "model").is_dir()
