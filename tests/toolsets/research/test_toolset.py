"""Searching, browsing, reading and looking, as a run does it: on live servers, real files and behind real walls."""

import asyncio
import os

import pytest
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from deepagent.agent import Agent
from deepagent.errors import ConfigError, ToolError, ToolFailedError, ToolTimeoutError, UsageError
from deepagent.models import ScriptedModel
from deepagent.runs.events import Observed
from deepagent.runs.store import RunStore
from deepagent.toolsets.base import Host
from deepagent.toolsets.research.config import ResearchConfig
from deepagent.toolsets.research.toolset import Research
from deepagent.toolsets.resolve import open_toolset
from tests.support import HASHED, answer, call, execute
from tests.toolsets.research import made
from tests.toolsets.servers import serving

pytest.importorskip("trafilatura")

ARTICLE = "".join(
    f"<p>Paragraph {n} tells of {'whales' if n == 70 else 'other things'} at length.</p>" for n in range(90)
)


@pytest.fixture
def site():
    app = FastAPI()

    @app.get("/page")
    async def page():
        link = "<a href='/b?x=1'>next</a>"
        html = f"<html><head><title>Sea</title></head><body>{link}<article>{ARTICLE}</article></body></html>"
        return Response(html, media_type="text/html")

    @app.get("/claims")
    async def claims(what: str):
        data, kind = {
            "pdf": (made.pdf(["Hidden in HTML"]), "text/html"),
            "html": (b"<!doctype html><title>T</title><p>" + b"Shown as text. " * 20, "application/pdf"),
            "exe": (b"\x7fELF\0\0\0\1" * 90, "text/html"),
            "png": (made.png(), "text/plain"),
            "xlsx": (made.xlsx([["cell"]]), "application/octet-stream"),
        }[what]
        return Response(data, media_type=kind)

    @app.get("/endless")
    async def endless():
        async def stream():
            while True:
                yield b"more and more " * 1000
                await asyncio.sleep(0.001)

        return StreamingResponse(stream(), media_type="text/html")

    @app.get("/drip")
    async def drip():
        async def stream():
            while True:
                yield b"<p>"
                await asyncio.sleep(0.05)

        return StreamingResponse(stream(), media_type="text/html")

    @app.get("/to")
    async def to(where: str):
        return RedirectResponse(where)

    @app.get("/missing")
    async def missing():
        return PlainTextResponse("no", 404)

    @app.post("/v1/audio/transcriptions")
    async def transcriptions(request: Request, file: UploadFile):
        form = await request.form()
        return {"text": f"{form['model']} heard {len(await file.read())} bytes of {file.filename}"}

    with serving(app) as url:
        yield url


@pytest.fixture
async def opened():
    toolsets: list[Research] = []

    async def make(host: Host | None = None, **settings):
        toolset = Research(ResearchConfig(hosts=("127.0.0.1",), **settings), host)
        toolsets.append(await toolset.__aenter__())
        tools = {tool.name: tool for tool in toolset.tools}
        return lambda name, **arguments: tools[name].invoke(arguments)

    yield make
    for toolset in toolsets:
        await toolset.__aexit__(None, None, None)


# Browsing


async def test_a_page_is_shown_piece_by_piece_searched_and_listed_by_its_links(opened, site, walls):
    use = await opened(chars=600)
    first = await use("browse", url=f"{site}/page")
    assert first.startswith("[Sea]\nParagraph 0")
    assert first.endswith("more with start=600]")
    assert "[characters 600-1200 of" in await use("browse", url=f"{site}/page", start=600)
    found = await use("browse", url=f"{site}/page", find="whales")
    assert "Paragraph 70 tells of whales" in found
    assert "Paragraph 10 " not in found
    assert "nothing in it speaks of 'quarks'" in await use("browse", url=f"{site}/page", find="quarks")
    assert f"next: {site}/b?x=1" in await use("browse", url=f"{site}/page", links=True)
    assert "no such links" in await use("browse", url=f"{site}/page", links=True, find="elsewhere")


@pytest.mark.parametrize(
    ("what", "words"),
    [("pdf", "Hidden in HTML"), ("html", "Shown as text."), ("xlsx", "cell"), ("png", "PNG image, 40 x 30")],
)
async def test_what_a_server_claims_is_not_believed(opened, site, walls, what, words):
    assert words in await (await opened())("browse", url=f"{site}/claims?what={what}")


async def test_a_program_that_claims_to_be_a_page_is_refused(opened, site):
    with pytest.raises(ToolFailedError, match="no text and of no known kind"):
        await (await opened())("browse", url=f"{site}/claims?what=exe")


async def test_streams_without_end_are_given_up_by_size_and_by_time(opened, site):
    with pytest.raises(ToolFailedError, match="sent more than 100000 bytes"):
        await (await opened(max_bytes=100_000))("browse", url=f"{site}/endless")
    with pytest.raises(ToolTimeoutError, match=r"did not answer within 0\.5 s"):
        await (await opened(seconds=0.5))("browse", url=f"{site}/drip")


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "http://localhost:1/", "http://[::1]/"]
)
async def test_no_page_and_no_redirect_leads_to_files_or_private_addresses(opened, site, where):
    use = await opened()
    for url in (where, f"{site}/to?where={where}"):
        with pytest.raises(ToolFailedError, match=r"no public address|is no http"):
            await use("browse", url=url)
        with pytest.raises(ToolFailedError, match=r"no public address|is no http|nobody can look"):
            await use("ask_image", image=url, question="?")


async def test_an_error_of_the_server_is_told(opened, site):
    with pytest.raises(ToolFailedError, match="/missing answers with status 404; try another page"):
        await (await opened())("browse", url=f"{site}/missing")


async def test_with_a_corpus_nothing_is_fetched(opened, site, tmp_path):
    (tmp_path / "cats.md").write_text("# Cats\nCats sleep most of the day.")
    use = await opened(search={"engine": "corpus", "folder": tmp_path})
    (found,) = await use("web_search", query="how much does a cat sleep")
    assert "sleep most of the day" in await use("browse", url=found["url"])
    with pytest.raises(ToolFailedError, match="the corpus has no document"):
        await use("browse", url=f"{site}/page")
    with pytest.raises(ToolFailedError, match="nothing was found for 'zebras'"):
        await use("web_search", query="zebras")


# Files


async def test_files_below_named_folders_are_read_and_nothing_else(opened, tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()
    (inside / "sub" / "a.txt").write_text("allowed")
    (outside / "secret.txt").write_text("forbidden")
    (inside / "link.txt").symlink_to(outside / "secret.txt")
    (inside / "out").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    use = await opened(folders=(inside,))
    assert "allowed" in await use("read_file", path="sub/a.txt")
    assert "allowed" in await use("read_file", path=str(inside / "sub" / "a.txt"))
    assert await use("list_files") == "sub/a.txt (7 bytes)"
    hostile = [
        "../outside/secret.txt", "sub/../../outside/secret.txt", str(outside / "secret.txt"), "link.txt", "pipe", "sub",
        "out/secret.txt", "/etc/passwd", "", "a\0b", "~/.ssh/id_rsa", "/proc/self/environ",
    ]  # fmt: skip
    for path in hostile:
        with pytest.raises(ToolFailedError, match=r"there is no file|cannot be read: it is"):
            await use("read_file", path=path)


async def test_a_folder_that_is_not_there_is_told_at_once(tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        open_toolset(f"research:{tmp_path / 'none'}", Host())
    with pytest.raises(ConfigError, match=r"tools: search\.searxng\.url: Field required"):
        open_toolset({"kind": "research", "search": {"engine": "searxng"}}, Host())


async def test_a_recording_is_transcribed_by_the_server_that_is_named(opened, site, tmp_path):
    (tmp_path / "talk.mp3").write_bytes(b"ID3" + b"\0" * 997)
    with pytest.raises(ToolFailedError, match="no transcriber is configured"):
        await (await opened(folders=(tmp_path,)))("read_file", path="talk.mp3")
    use = await opened(folders=(tmp_path,), transcriber={"url": f"{site}/v1", "model": "small"})
    assert "small heard 1000 bytes of talk.mp3" in await use("read_file", path="talk.mp3")
    use = await opened(folders=(tmp_path,), transcriber={"url": f"{site}/nowhere"})
    with pytest.raises(ToolError, match=r"does not transcribe talk\.mp3 \(status 404\)"):
        await use("read_file", path="talk.mp3")


# Looking


async def test_the_vision_model_is_shown_the_picture_and_answers(opened, tmp_path, walls):
    seer = ScriptedModel([], chat_replies=["It is red."])

    async def model(role):
        assert role == "vision"
        return seer

    (tmp_path / "i.png").write_bytes(made.png(3000, 100))
    (tmp_path / "i.txt").write_text("no image")
    async with seer:
        use = await opened(Host(model=model), folders=(tmp_path,))
        assert await use("ask_image", image="i.png", question="What colour?") == "It is red."
        ((message,),) = seer.conversations
        assert message.content == "What colour?"
        assert message.images[0].startswith("data:image/png;base64,iVBOR")
        with pytest.raises(ToolFailedError, match=r"i\.txt is no image"):
            await use("ask_image", image="i.txt", question="?")
        with pytest.raises(ToolFailedError, match="the model that looks at images does not answer"):
            await use("ask_image", image="i.png", question="again?")


async def test_without_a_vision_model_it_is_told_which_setting_is_missing(opened):
    with pytest.raises(ToolFailedError, match="nobody can look at images here: nobody lends a model"):
        await (await opened())("ask_image", image="x", question="?")


# In a run


async def test_a_run_reads_attachments_what_code_wrote_and_what_was_fetched(site, tmp_path, walls):
    (tmp_path / "given.csv").write_text("a,b\n1,2\n")
    script = [
        call("read_file", path="given.csv"),
        execute("open('made.txt', 'w').write('by code')\nprint(read_file('made.txt'))"),
        call("browse", url=f"{site}/claims?what=xlsx"),
        call("read_file", path="claims", part="Prices"),
        call("list_files"),
        call("ask_image", image="given.csv", question="?"),
        answer("done"),
    ]
    with RunStore(tmp_path / "runs.sqlite") as store:
        source = {"kind": "research", "hosts": ["127.0.0.1"]}
        agent = Agent(ScriptedModel(script), [source], config=HASHED, store=store)
        run = await agent.run("Read.", attachments=[tmp_path / "given.csv"])
        seen = [one.event.observation.text for one in store.events(run.id) if isinstance(one.event, Observed)]
        kept = store.files(run.id)
    assert "a,b\n1,2" in seen[0]
    assert "by code" in seen[1]
    assert "kept as the file 'claims', for read_file and ask_image" in seen[2]
    assert "cell" in seen[3]
    assert seen[4] == "given.csv\nclaims"
    assert "no model is named for the role 'vision'" in seen[5]
    assert kept["claims"].startswith(b"PK")


async def test_two_runs_at_one_time_see_their_own_files_alone(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note.txt").write_text(f"I am {name}")

    def replies(window):
        return answer("ok") if "I am" in window.text else call("read_file", path="note.txt")

    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(ScriptedModel(replies), ["research"], config=HASHED, store=store) as agent:
            runs = await asyncio.gather(
                *(agent.run("Read.", attachments=[tmp_path / name / "note.txt"]) for name in ("one", "two"))
            )
        seen = [
            [one.event.observation.text for one in store.events(run.id) if isinstance(one.event, Observed)]
            for run in runs
        ]
    assert [texts[0].splitlines()[-1] for texts in seen] == ["I am one", "I am two"]
