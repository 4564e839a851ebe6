"""An API of RestBench as a toolset: every operation of its document, live or on the mock server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import TracebackType

from deepagent.toolsets.openapi.security import Credential
from deepagent.toolsets.openapi.toolset import OpenApi, OpenApiConfig
from deepagent.toolsets.restbench.apis import Api, document_path, operations
from deepagent.toolsets.restbench.server import MockServer


def live(api: Api, credentials: Mapping[str, Credential], only: Collection[str] = ()) -> OpenApi:
    """The real service.

    Args:
        api: which one.
        credentials: by security scheme: `api_key` of TMDB, `oauth_2_0` of Spotify.
        only: the operations, such as `GET /movie/{movie_id}`; by default all.
    """
    return OpenApi(
        OpenApiConfig(document=document_path(api), name=api, credentials=dict(credentials), only=_names(api, only))
    )


class MockApi(OpenApi):
    """A new service on a mock server, for one episode.

    Args:
        server: entered.
        api: the server's.
        only: as in `live`.
    """

    def __init__(self, server: MockServer, api: Api, only: Collection[str] = ()) -> None:
        self._mock = server
        self.url = server.open()
        names = _names(api, only)
        super().__init__(OpenApiConfig(document=document_path(api), name=api, server=self.url, only=names))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, traceback)
        self._mock.close(self.url)


def _names(api: Api, only: Collection[str]) -> tuple[str, ...]:
    """The tools' names of operations."""
    return tuple(operations(api)[where].name for where in dict.fromkeys(only)) or ("*",)
