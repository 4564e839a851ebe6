"""`deepagent serve tools` over HTTP, as a process on loopback."""

import asyncio
import http.client
import json
import signal
import subprocess
import urllib.request
from contextlib import closing
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.error import HTTPError

import pytest

from deepagent.errors import BusyError, UsageError
from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.serving import batching
from deepagent.serving.app import create_app
from deepagent.serving.batching import BatchSearch
from deepagent.serving.calls import Caller
from deepagent.serving.server import Server
from deepagent.toolsets.base import Host
from deepagent.toolsets.indexed import IndexedTools, named
from tests.toolsets.servers import serving

from .conftest import command


def ask(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


def test_tools_are_retrieved_and_the_server_ends_cleanly(service: tuple[str, "Popen[str]"]):
    url, process = service
    assert ask(f"{url}/healthz") == (200, {"status": "ok", "tools": 4})
    status, found = ask(f"{url}/retrieve", {"query": "orders of a customer", "top_k": 2})
    assert status == 200
    best, _ = found["tools"]
    assert best["id"] == "shop::orders"
    assert set(best) == {"spec", "id", "score", "dense", "lexical"}
    alone = ask(f"{url}/retrieve", {"query": "orders", "toolset": "shop"})[1]
    assert [tool["id"] for tool in alone["tools"]] == ["shop::orders"]
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said.strip()) == (0, "stopped")


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "Invalid JSON"),
        ({}, 400, "query"),
        ({"query": "x", "top_k": 0}, 400, "top_k"),
        ({"query": "x", "top_k": 101}, 400, "top_k"),
        ({"query": "x", "top_k": "5"}, 400, "top_k"),
        ({"query": "x", "other": 1}, 400, "other"),
        ({"query": " "}, 400, "empty"),
        ({"query": "x" * 100_000}, 200, ""),
    ],
)
def test_what_is_asked_is_checked(folder: Path, body: Any, status: int, told: str):
    with served(folder) as url:
        found, answer = ask(f"{url}/retrieve", body)
        assert found == status
        assert told in answer.get("error", "")


def served(folder: Path, token: str | None = None) -> Any:
    index = ToolIndex.open(folder / "index", HashEncoder())
    hosts = frozenset({"127.0.0.1"}) if token is None else None
    return serving(
        create_app(BatchSearch(index), Caller(IndexedTools(index, named([]), Host())), token=token, hosts=hosts)
    )


def test_a_token_is_needed_where_there_is_one(folder: Path):
    with served(folder, "secret") as url:
        body = {"query": "orders"}
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}, {"Authorization": "é"}):
            assert ask(f"{url}/retrieve", body, **wrong)[0] == 401
        assert ask(f"{url}/retrieve", body, Authorization="Bearer secret")[0] == 200
        assert ask(f"{url}/healthz")[0] == 200
        assert ask(f"{url}/mcp/", {"jsonrpc": "2.0", "id": 1, "method": "ping"})[0] == 401


def test_a_token_may_hold_any_letters(folder: Path):
    with served(folder, "pässword") as url:
        shown = {"Authorization": "Bearer pässword".encode().decode("latin-1")}  # as bytes of UTF-8, like curl's
        assert ask(f"{url}/retrieve", {"query": "orders"}, **shown)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://[::1"}],
)
def test_pages_of_other_servers_are_refused(folder: Path, headers: dict[str, str]):
    with served(folder) as url:
        for path in ("/retrieve", "/mcp/"):
            assert ask(f"{url}{path}", {"query": "orders"}, **headers)[0] in (403, 421)


def test_a_body_that_is_said_to_be_long_is_not_even_waited_for(folder: Path):
    with served(folder) as url, closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
        connection.putrequest("POST", "/retrieve")
        connection.putheader("Content-Length", "1000001")
        connection.endheaders()
        assert connection.getresponse().status == 413


@pytest.mark.parametrize("path", ["/retrieve", "/mcp/"])
def test_a_body_without_a_length_is_limited_too(folder: Path, path: str):
    with served(folder) as url, closing(http.client.HTTPConnection(url.removeprefix("http://"))) as connection:
        connection.request("POST", path, body=iter([b"x" * 100_000] * 11), encode_chunked=True)
        assert connection.getresponse().status == 413


def test_beyond_this_machine_a_token_must_be_given(folder: Path):
    index = ToolIndex.open(folder / "index", HashEncoder())
    with pytest.raises(UsageError, match="must show a token"):
        Server(BatchSearch(index), Caller(IndexedTools(index, named([]), Host())), "0.0.0.0", 0, None)
    told = subprocess.run(command(folder / "index", "--host", "0.0.0.0"), capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "give --token" in " ".join(told.stderr.split())


class Counting(HashEncoder):
    """Notes how many texts came together."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        self.batches.append(len(texts))
        return super().encode(texts, progress=progress)


async def test_queries_that_come_together_are_encoded_together(folder: Path):
    encoder = Counting()
    index = ToolIndex.open(folder / "index", encoder)
    async with BatchSearch(index) as searcher:
        answers = await asyncio.gather(*[searcher.search(f"order number {one}", 2) for one in range(40)])
    assert [len(hits) for hits in answers] == [2] * 40
    assert sum(encoder.batches) == 40
    assert len(encoder.batches) <= 4
    assert answers[7] == index.search("order number 7", 2)


async def test_too_many_who_wait_are_told_so(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batching, "_MOST_WAITING", 3)
    async with BatchSearch(ToolIndex.open(folder / "index", HashEncoder())) as searcher:
        answers = await asyncio.gather(*[searcher.search("orders", 1) for _ in range(9)], return_exceptions=True)
    assert sum(isinstance(answer, BusyError) for answer in answers) == 6


async def test_a_failing_encoder_fails_those_who_asked_and_nobody_later(folder: Path):
    class Moody(HashEncoder):
        fails = True

        def encode(self, texts: Any, *, progress: Any = None) -> Any:
            if self.fails:
                raise RuntimeError("out of order")
            return super().encode(texts, progress=progress)

    encoder = Moody()
    async with BatchSearch(ToolIndex.open(folder / "index", encoder)) as searcher:
        with pytest.raises(RuntimeError, match="out of order"):
            await searcher.search("orders", 1)
        encoder.fails = False
        assert len(await searcher.search("orders", 1)) == 1


async def test_a_search_that_fails_fails_alone_and_others_are_answered(folder: Path, monkeypatch: pytest.MonkeyPatch):
    search = ToolIndex.search_encoded

    def moody(index: ToolIndex, *asked: Any, toolset: str | None = None) -> Any:
        if toolset == "broken":
            raise RuntimeError("out of order")
        return search(index, *asked, toolset=toolset)

    monkeypatch.setattr(ToolIndex, "search_encoded", moody)
    async with asyncio.timeout(30), BatchSearch(ToolIndex.open(folder / "index", HashEncoder())) as searcher:
        asked = [searcher.search("orders", 1, toolset=toolset) for toolset in ("broken", None)]
        broken, whole = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(broken, RuntimeError)
        assert len(whole) == 1
        assert len(await searcher.search("orders", 1)) == 1
