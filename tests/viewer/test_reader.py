"""Reading runs beside the event loop: one long run holds nothing else up."""

import asyncio
import threading

import pytest

from deepagent.runs.store import RunStore
from deepagent.viewer.app import create_app
from deepagent.viewer.reader import Reader
from tests.viewer.runs import begin, step, write_run


async def get(app, path: str) -> int:
    """Speak to the application as a server does; the status of its answer."""
    statuses = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        statuses.append(message.get("status"))

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")], "http_version": "1.1", "scheme": "http", "app": app,
    }  # fmt: skip
    await app(scope, receive, send)
    return statuses[0]


@pytest.fixture
def slow(monkeypatch):
    """Makes reading the events of one run take until it is let go."""
    let_go, began, reads = threading.Event(), threading.Event(), []
    real = RunStore.events

    def events(self, run, after=0):
        if run == reads[0]:
            reads.append(after)
            began.set()
            assert let_go.wait(10), "whoever would let it go is held up"
        return real(self, run, after)

    monkeypatch.setattr(RunStore, "events", events)
    return let_go, began, reads


async def test_other_pages_are_answered_while_a_long_run_is_read(store, path, slow):
    let_go, began, reads = slow
    reads.append(long := write_run(store, 3))
    short = write_run(store, 2)
    app = create_app(path)
    async with app.router.lifespan_context(app):
        reading = asyncio.create_task(get(app, f"/runs/{long}"))
        assert await asyncio.to_thread(began.wait, 10)
        assert [await get(app, "/"), await get(app, f"/runs/{short}")] == [200, 200]
        assert not reading.done()
        let_go.set()
        assert await reading == 200


async def test_a_run_that_two_ask_for_is_read_once_and_then_only_what_is_new(store, slow):
    let_go, _, reads = slow
    log = begin(store)
    reads.append(log.id)
    step(log, 1)
    let_go.set()
    reader, length = Reader(store), store.length(log.id)
    first, second = await asyncio.gather(reader.timeline(log.id), reader.timeline(log.id))
    assert first is second
    assert (first.sequence, len(first.steps)) == (length, 1)
    step(log, 2)
    assert await reader.timeline(log.id) is first
    assert (first.sequence, len(first.steps)) == (store.length(log.id), 2)
    assert reads[1:] == [0, length]


async def test_only_some_timelines_stay_in_memory(store):
    runs = [write_run(store, 1) for _ in range(3)]
    reader = Reader(store, keep=2)
    first = await reader.timeline(runs[0])
    for run in runs:
        await reader.timeline(run)
    assert await reader.timeline(runs[0]) is not first
    assert await reader.timeline("no such run") is None
