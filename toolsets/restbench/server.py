"""Mock servers of the two APIs: real HTTP on loopback, and a service with a state of its own for everyone who asks."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from deepagent.errors import UsageError
from deepagent.toolsets.openapi.operations import Operation
from deepagent.toolsets.restbench.apis import Answer, Api, Asked, Service, operations
from deepagent.toolsets.restbench.spotify import Spotify
from deepagent.toolsets.restbench.tmdb import Tmdb

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_SERVICES: dict[Api, type[Tmdb] | type[Spotify]] = {"tmdb": Tmdb, "spotify": Spotify}
_STOPS_WITHIN = 30.0


@dataclass(frozen=True)
class _Route:
    """An operation, and how its addresses look."""

    where: str
    pattern: re.Pattern[str]
    operation: Operation


class MockServer:
    """An async context manager; serves in a thread of its own.

    Args:
        api: whose document it serves.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._routes = _routes(api)
        self._services: dict[str, Service] = {}
        self._numbers = count(1)
        self._url = ""

    async def __aenter__(self) -> Self:
        try:
            import uvicorn

            config = uvicorn.Config(self._app(), log_level="critical", lifespan="off", ws="none")
        except ImportError as error:
            raise UsageError(f"the mock server needs {error.name}; pip install 'deepagent[benchmarks]'") from error
        self._server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        self._url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        # In a thread, uvicorn leaves the process's signals alone; the socket takes connections from now on.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[listening])), daemon=True, name="mock-server"
        )
        self._listening = listening
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        await asyncio.to_thread(self._thread.join, _STOPS_WITHIN)
        self._listening.close()

    def open(self) -> str:
        """URL of a new service, which nobody has changed yet."""
        name = f"run{next(self._numbers)}"
        self._services[name] = _SERVICES[self._api]()
        return f"{self._url}/{name}"

    def close(self, url: str) -> None:
        """Forget a service."""
        self._services.pop(url.rpartition("/")[2], None)

    def _app(self) -> Starlette:
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Route

        async def handle(request: Request) -> Response:
            service = self._services.get(request.path_params["service"])
            body = await request.body()
            if service is None:
                return JSONResponse({"message": "no such service"}, 404)
            answer = self._answered(service, request, body)
            return Response(status_code=answer.status) if answer.body is None else JSONResponse(**_shown(answer))

        methods = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(routes=[Route("/{service}/{path:path}", handle, methods=methods)])

    def _answered(self, service: Service, request: Request, body: bytes) -> Answer:
        path = f"/{request.path_params['path']}"
        for route in self._routes:
            match = route.pattern.fullmatch(f"{request.method} {path}")
            if match is None:
                continue
            query = dict(request.query_params)
            missing = [name for name in _required(route.operation) if name not in query]
            if missing:
                return _refused(400, f"{missing[0]} is required")
            try:
                told = json.loads(body) if body else None
            except ValueError:
                return _refused(400, "the body is not JSON")
            return service.answer(Asked(route.where, _named(route.operation, match), query, told))
        return _refused(404, "there is no such operation")


def _shown(answer: Answer) -> dict[str, Any]:
    return {"content": answer.body, "status_code": answer.status}


def _refused(status: int, message: str) -> Answer:
    return Answer(status, {"error": {"status": status, "message": message}})


def _routes(api: Api) -> list[_Route]:
    """The operations; those with fewer parameters in their path first: `/movie/popular` is no movie's number."""
    made = []
    for where, operation in operations(api).items():
        literal = re.split(r"\{[^{}]+\}", where)
        made.append(_Route(where, re.compile("([^/]+)".join(map(re.escape, literal))), operation))
    return sorted(made, key=lambda route: route.pattern.groups)


def _named(operation: Operation, match: re.Match[str]) -> dict[str, str]:
    return dict(zip(re.findall(r"\{([^{}]+)\}", operation.path), match.groups(), strict=True))


def _required(operation: Operation) -> list[str]:
    """Query parameters that must be given."""
    required = operation.schema.get("required", [])
    return [how.name for name, how in operation.spellings.items() if how.where == "query" and name in required]
