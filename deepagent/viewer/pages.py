"""The pages: what each address answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from deepagent.errors import UsageError
from deepagent.viewer import text as texts
from deepagent.viewer.chart import chart
from deepagent.viewer.differences import compare, first_divergence, memories
from deepagent.viewer.guard import Forms
from deepagent.viewer.listing import STATES, Filters, listed
from deepagent.viewer.live import News, follow
from deepagent.viewer.reader import Reader
from deepagent.viewer.timeline import Entry, Timeline

CHUNK = 20
"""Entries that are fetched at once."""
FOUND = 100
"""Most entries that a search within a run shows."""
PAIRS = 200
"""Pairs of steps on one page of a comparison."""
INLINE = 400_000
"""Most characters of one text that are put into the page; what is longer is read as raw text."""


class MissingError(Exception):
    """What was asked for is not there."""


@dataclass(frozen=True)
class Chunk:
    """Entries in a row; they are part of the page at once if `open`, else fetched when they come into sight."""

    first: int
    entries: Sequence[Entry]
    open: bool


class Pages:
    """Answers requests, from the store as it stands at that moment."""

    def __init__(self, templates: Environment, forms: Forms) -> None:
        self._templates = templates
        self._forms = forms
        templates.globals |= {"memories": memories, "mark": forms.mark, "inline": INLINE}

    def open(self, reader: Reader) -> None:
        """Begin to answer."""
        self._reader = reader
        self._templates.globals["decision"] = reader.store.decisions.of

    def render(self, name: str, **values: Any) -> str:
        """A template as HTML."""
        return self._templates.get_template(name).render(values)

    async def list_runs(self, request: Request) -> Response:
        """All runs, or those that are asked for."""
        filters = Filters.read(request.query_params)
        page = listed(self._reader.store, filters)
        return self._page(
            "list.html",
            page=page,
            filters=filters,
            filtered=filters.any,
            choices=self._choices(),
            store=self._reader.store.path,
        )

    async def show(self, request: Request) -> Response:
        """One run."""
        timeline = await self._timeline(request)
        find = request.query_params.get("find", "").strip()
        if _small(find):
            return Response(None, 303, {"Location": f"/runs/{timeline.run}#step-{int(find)}"})
        found = matching(timeline, find) if find else []
        first = _whole(request, "from")
        return self._page(
            "run.html",
            **self._state(timeline),
            find=find,
            found=len(found),
            shown=FOUND,
            chunks=[Chunk(0, found[:FOUND], open=True)] if find else chunks(timeline, first),
        )

    async def entries(self, request: Request) -> Response:
        """Some entries of a run, as a piece of the page."""
        timeline, first = await self._timeline(request), _whole(request, "from")
        some = timeline.entries[first : first + CHUNK]
        return HTMLResponse("".join(self.render("entry.html", timeline=timeline, entry=entry) for entry in some))

    async def text(self, request: Request) -> Response:
        """The whole of a text, raw, or as the page shows it when asked for with `?shown`."""
        timeline = await self._timeline(request)
        text = timeline.text("text/{sequence}/{name}".format(**request.path_params))
        return self._raw(text, request)

    async def artifact(self, request: Request) -> Response:
        """A result that was too large for the stream."""
        timeline = await self._timeline(request)
        return self._raw(self._reader.store.artifact(timeline.run, request.path_params["id"]), request)

    async def live(self, request: Request) -> Response:
        """What is new in a run, as it happens."""
        timeline = await self._timeline(request)
        after = _whole(request, "after")
        resumed = request.headers.get("last-event-id", "")
        if _small(resumed):
            after = int(resumed)
        return follow(timeline.run, after, read=self._reader.timeline, tell=self._tell)

    def _tell(self, timeline: Timeline, after: int) -> Iterator[News]:
        """What changed in a run since the event `after`."""
        state = self._state(timeline)
        for entry in timeline.entries:
            if entry.touched > after:
                html = self.render("entry.html", timeline=timeline, entry=entry)
                yield News("entry", {"anchor": entry.anchor, "index": entry.index, "html": html})
        yield News("state", {part: self.render(f"{part}.html", **state) for part in ("head", "end")})
        if not state["live"]:
            yield News("over", {})

    async def decide(self, request: Request) -> Response:
        """A tool call is approved or refused."""
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        if not self._forms.marked(form.get("mark")):
            return PlainTextResponse("This page is from an earlier start of the server; load it again.", 403)
        run = (await self._timeline(request)).run
        step, call, approved = form.get("step", ""), form.get("call", ""), form.get("approved")
        if not (_small(step) and _small(call) and approved in ("yes", "no")):
            return PlainTextResponse("Say which call, and whether it is approved.", 400)
        try:
            self._reader.store.decisions.decide(run, int(step), int(call), approved=approved == "yes", by="page")
        except UsageError as error:
            return PlainTextResponse(str(error), 409)
        return Response(None, 303, {"Location": f"/runs/{run}#step-{int(step)}"})

    async def compare(self, request: Request) -> Response:
        """Two runs side by side."""
        asked = request.query_params.getlist("run")
        if len(asked) != 2:
            raise MissingError("Two runs are compared at a time: select two in the list.")
        left, right = [await self._found(run) for run in asked]
        pairs = await asyncio.to_thread(compare, left.steps, right.steps)  # long runs take a while to align
        split = first_divergence(pairs)
        first = _whole(request, "from")
        return self._page(
            "compare.html",
            runs=[self._state(timeline) for timeline in (left, right)],
            pairs=pairs[first : first + PAIRS],
            total=len(pairs),
            first=first,
            most=PAIRS,
            split=split,
        )

    def _raw(self, text: str | None, request: Request) -> Response:
        if text is None:
            raise MissingError("There is no such text.")
        if "shown" in request.query_params:
            text = texts.visible(text[:INLINE])
        return PlainTextResponse(text.encode("utf-8", "replace"))

    async def _timeline(self, request: Request) -> Timeline:
        return await self._found(request.path_params["run"])

    async def _found(self, run: str) -> Timeline:
        timeline = await self._reader.timeline(run)
        if timeline is None:
            raise MissingError("There is no such run in this store.")
        return timeline

    def _state(self, timeline: Timeline) -> dict[str, Any]:
        """What the head and the end of a run's page tell."""
        standing = self._reader.store.summary(timeline.run).state
        return {
            "timeline": timeline,
            "standing": standing,
            "live": timeline.ended is None,
            "resumable": standing not in ("answered", "forced", "running"),
            "chart": chart(timeline),
        }

    def _choices(self) -> list[tuple[str, str, Sequence[str]]]:
        """The filters that can be chosen: name, label, and the values that there are."""
        store = self._reader.store
        return [
            ("status", "Status", STATES),
            ("model", "Model", store.values("model")),
            ("benchmark", "Benchmark", store.values("benchmark")),
        ]

    def _page(self, name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(self.render(name, **values))


def chunks(timeline: Timeline, first: int) -> list[Chunk]:
    """The timeline in chunks; the one with the entry `first` is open."""
    return [
        Chunk(start, timeline.entries[start : start + CHUNK], open=start <= first < start + CHUNK)
        for start in range(0, len(timeline.entries), CHUNK)
    ]


def matching(timeline: Timeline, find: str) -> list[Entry]:
    """The entries that hold a text, whatever its case."""
    wanted = find.casefold()
    return [entry for entry in timeline.entries if any(wanted in text.casefold() for text in entry.texts())]


def _whole(request: Request, name: str) -> int:
    """A number from the query; 0 where there is none."""
    given = request.query_params.get(name, "")
    return int(given) if _small(given) else 0


def _small(given: str) -> bool:
    """Whether a text is a number of the size that is counted to; Python and SQLite refuse to take in longer ones."""
    return given.isdecimal() and len(given) < 10
