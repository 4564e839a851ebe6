"""A run is followed while another process works on it."""

import asyncio
import json

import pytest

from deepagent.runs.store import RunStore
from deepagent.viewer import live
from deepagent.viewer.app import create_app
from deepagent.viewer.timeline import Timeline
from tests.viewer.runs import begin, end, step


async def lines(app, path, seen):
    """Speak to the application as a server does, and hand each message on."""
    left = asyncio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        for piece in message.get("body", b"").decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in piece.splitlines() if not line.startswith(":"))
            if fields:
                await seen.put((fields["event"], int(fields["id"]), json.loads(fields["data"])))

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"after=3",
        "headers": [(b"host", b"127.0.0.1")], "http_version": "1.1", "scheme": "http", "app": app,
    }  # fmt: skip
    await app(scope, receive, send)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(live, "POLL_SECONDS", 0.01)


async def test_new_entries_arrive_until_the_run_is_over(path, quick):
    with RunStore(path) as store:
        log = begin(store)
        step(log, 1)
        app, seen = create_app(path), asyncio.Queue()
        async with app.router.lifespan_context(app):
            following = asyncio.create_task(lines(app, f"/runs/{log.id}/live", seen))
            event, _, said = await seen.get()
            assert (event, said["anchor"]) == ("entry", "step-1")
            assert (await seen.get())[0] == "state"
            step(log, 2)
            event, sequence, said = await seen.get()
            assert (event, said["anchor"], said["index"]) == ("entry", "step-2", 2)
            assert sequence == len(log.events)
            assert "result 2" in said["html"]
            end(log, 2)
            kinds = [(await seen.get())[0] for _ in range(3)]
            assert kinds == ["state", "state", "over"]
            await following


async def test_what_happens_while_news_are_sent_is_told_next(quick):
    """Another page's request makes the timeline grow meanwhile."""
    timeline = Timeline("r")
    timeline.sequence = 1

    async def read(run: str) -> Timeline:
        return timeline

    def tell(seen: Timeline, after: int):
        yield live.News("entry", {"after": after, "sequence": seen.sequence})
        if after:
            yield live.News("over", {})
            return
        yield live.News("state", {})

    said = []
    async for piece in live.follow("r", 0, read=read, tell=tell).body_iterator:
        said.append(piece)
        timeline.sequence = min(2, len(said))  # it grows after the first of the news
    assert [b'"after": 1' in piece for piece in said] == [False, False, False, True, False]
    assert [piece.split(b"\n")[0] for piece in said[1:]] == [b"id: 1", b"id: 1", b"id: 2", b"id: 2"]
