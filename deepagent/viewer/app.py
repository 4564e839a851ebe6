"""The web application: its addresses, and what stands behind each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deepagent.addresses import LOOPBACK
from deepagent.errors import StoreError
from deepagent.runs.store import RunStore
from deepagent.viewer.guard import Forms, Guard
from deepagent.viewer.pages import MissingError, Pages
from deepagent.viewer.reader import Reader
from deepagent.viewer.templating import templates


def create_app(store: Path, *, token: str | None = None, hosts: frozenset[str] | None = LOOPBACK) -> Starlette:
    """The application over one run store.

    Args:
        store: the SQLite file.
        token: what callers must show; None asks for none, which only suits a server on loopback.
        hosts: the names under which the server may be addressed; None for any.
    """
    pages = Pages(templates(), Forms())

    @asynccontextmanager
    async def opened(app: Starlette) -> AsyncIterator[None]:
        with RunStore(store) as opened_store:
            pages.open(Reader(opened_store))
            yield

    def page(text: str, code: int) -> HTMLResponse:
        return HTMLResponse(pages.render("error.html", text=text), code)

    async def missing(request: Request, error: Exception) -> HTMLResponse:
        return page(str(error), 404)

    async def no_such_page(request: Request, error: Exception) -> HTMLResponse:
        return page("There is no such page.", 404)

    async def broken(request: Request, error: Exception) -> HTMLResponse:
        return page(str(error), 500)

    return Starlette(
        routes=[
            Route("/", pages.list_runs),
            Route("/compare", pages.compare),
            Route("/runs/{run}", pages.show),
            Route("/runs/{run}/entries", pages.entries),
            Route("/runs/{run}/live", pages.live),
            Route("/runs/{run}/decide", pages.decide, methods=["POST"]),
            Route("/runs/{run}/text/{sequence:int}/{name}", pages.text),
            Route("/runs/{run}/artifacts/{id:path}", pages.artifact),
            Mount("/static", StaticFiles(packages=[("deepagent.viewer", "static")])),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        exception_handlers={MissingError: missing, 404: no_such_page, StoreError: broken},
        lifespan=opened,
    )
