"""Search engines: three APIs on servers of their own form, and documents of one's own."""

import json

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from deepagent.errors import ToolError, ToolFailedError, UsageError
from deepagent.secrets import Secret
from deepagent.toolsets.research import search
from deepagent.toolsets.research.config import BraveConfig, SearxngConfig, SerperConfig
from deepagent.toolsets.research.corpus import Corpus
from tests.toolsets.servers import serving

PAGES = [("Blue whale", "https://a.test/1", "up to\n30 m"), ("Fin whale", "https://a.test/2", "up to 27 m")]


@pytest.fixture
def server(monkeypatch):
    """All three engines on one server; each wants its key in its own place."""
    monkeypatch.setenv("KEY", "s3cr3t-key")
    app = FastAPI()
    app.state.asked = []

    def named(title: str, url: str, text: str):
        return [{title: a, url: b, text: c} for a, b, c in PAGES]

    @app.post("/search")
    async def serper(request: Request):
        if request.headers.get("x-api-key") != "s3cr3t-key":
            return PlainTextResponse(f"bad key {request.headers.get('x-api-key')}", 403)
        app.state.asked.append(await request.json())
        return {"organic": named("title", "link", "snippet"), "credits": 1}

    @app.get("/res/v1/web/search")
    async def brave(request: Request, q: str, count: int):
        if request.headers.get("x-subscription-token") != "s3cr3t-key":
            return PlainTextResponse(f"bad key {request.headers.get('x-subscription-token')}", 401)
        app.state.asked.append({"q": q, "num": count})
        return {"web": {"results": named("title", "url", "description")}}

    @app.get("/search")
    async def searxng(q: str, format: str):
        assert format == "json"
        app.state.asked.append({"q": q, "num": 2})
        return {"results": named("title", "url", "content")}

    @app.get("/odd/search")
    async def odd(q: str):
        answers = {
            "text": PlainTextResponse("<html>"),
            "list": JSONResponse([1]),
            "wrong": JSONResponse({"results": 5}),
        }
        mixed = JSONResponse({"results": [1, {"title": 3, "url": None}, {"url": "https://b.test", "title": ["x"]}]})
        return answers.get(q, mixed)

    with serving(app) as url:
        app.state.url = url
        yield app


@pytest.mark.parametrize("engine", ["serper", "brave", "searxng"])
async def test_each_engine_is_asked_in_its_way_and_gives_the_same(server, engine):
    key = Secret(env="KEY")
    made = {
        "serper": lambda: search.serper(SerperConfig(engine="serper", key=key, url=server.state.url)),
        "brave": lambda: search.brave(BraveConfig(engine="brave", key=key, url=server.state.url)),
        "searxng": lambda: search.searxng(SearxngConfig(engine="searxng", url=f"{server.state.url}/")),
    }[engine]()
    found = await made.search("whales & more", 2)
    assert [(one.title, one.url, one.text) for one in found] == [(a, b, " ".join(c.split())) for a, b, c in PAGES]
    assert server.state.asked == [{"q": "whales & more", "num": 2}]
    assert len(await made.search("whales", 1)) == 1


@pytest.mark.parametrize("engine", ["serper", "brave"])
async def test_a_refused_key_is_told_without_the_key(server, engine, monkeypatch):
    monkeypatch.setenv("OTHER", "wr0ng-key")
    key = Secret(env="OTHER")
    if engine == "serper":
        made = search.serper(SerperConfig(engine="serper", key=key, url=server.state.url))
    else:
        made = search.brave(BraveConfig(engine="brave", key=key, url=server.state.url))
    with pytest.raises(ToolFailedError, match=r"answers with status 40\d: bad key \[credential\]"):
        await made.search("x", 3)


async def test_a_missing_key_is_told_by_its_place(monkeypatch):
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    with pytest.raises(UsageError, match="the environment variable SERPER_API_KEY is empty"):
        await search.serper(SerperConfig(engine="serper")).search("x", 1)


async def test_what_is_no_result_is_refused_or_left_out(server):
    made = search.searxng(SearxngConfig(engine="searxng", url=f"{server.state.url}/odd"))
    with pytest.raises(ToolFailedError, match="what is no JSON"):
        await made.search("text", 3)
    assert await made.search("list", 3) == await made.search("wrong", 3) == []
    assert [one.url for one in await made.search("mixed", 3)] == ["https://b.test"]


async def test_an_engine_that_is_not_there_is_told():
    with pytest.raises(ToolError, match="cannot be reached"):
        await search.searxng(SearxngConfig(engine="searxng", url="http://127.0.0.1:1")).search("x", 1)


# Documents of one's own


@pytest.fixture
def documents(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cats.md").write_text("# Cats\nCats sleep most of the day.\n" + "Filler about weather.\n" * 40)
    rows = [
        {
            "url": "https://w.test/whale",
            "title": "Whale",
            "text": "Intro.\n" * 60 + "The blue whale is 30 metres long.",
        },
        {"url": "https://w.test/dog", "title": "Dog", "text": "Dogs bark."},
    ]
    (tmp_path / "wiki.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "secret.txt").symlink_to("/etc/passwd")
    return tmp_path


async def test_a_corpus_is_searched_by_words_and_its_pages_opened(documents):
    corpus = Corpus(documents)
    (best, *rest) = await corpus.search("how long is a blue whale", 3)
    assert (best.url, best.title) == ("https://w.test/whale", "Whale")
    assert "30 metres" in best.text
    assert all(one.url != best.url for one in rest)
    assert (await corpus.page("corpus:in/cats.md")).text.startswith("# Cats")
    assert await corpus.search("quantum chromodynamics", 3) == []


async def test_a_corpus_follows_no_link_and_opens_nothing_else(documents):
    corpus = Corpus(documents)
    assert await corpus.search("root daemon nologin", 3) == []
    with pytest.raises(ToolFailedError, match=r"the corpus has no document 'https://elsewhere\.test'"):
        await corpus.page("https://elsewhere.test")


async def test_a_line_that_is_no_document_is_told_by_its_place(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"url": "u", "text": "t"}\n\n{"url": 1}\n')
    with pytest.raises(UsageError, match=r"a\.jsonl:3 is no document: write an object with url, title and text"):
        await Corpus(tmp_path).search("x", 1)
    with pytest.raises(UsageError, match="there is no folder"):
        Corpus(tmp_path / "none")
