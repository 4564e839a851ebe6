"""The service as an ASGI application: `POST /retrieve`, `GET /healthz`, and MCP at `/mcp`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.transport_security import TransportSecuritySettings
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from deepagent.errors import BusyError, DeepAgentError, InvalidArgumentsError
from deepagent.serving.batching import BatchSearch
from deepagent.serving.calls import Caller
from deepagent.serving.guard import MAX_BODY, Guard, refusal
from deepagent.serving.mcp import mcp_server

MAX_K = 100
"""Most tools that one request may ask for."""

_UNGUARDED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Who may ask is the guard's business, for all paths alike."""


class Retrieve(BaseModel):
    """The body of `POST /retrieve`.

    Attributes:
        query: what is needed, in plain words.
        top_k: most tools to return.
        toolset: search in this toolset alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    query: str
    top_k: int = Field(5, ge=1, le=MAX_K)
    toolset: str | None = None


def create_app(searcher: BatchSearch, caller: Caller, *, token: str | None, hosts: frozenset[str] | None) -> Starlette:
    """The service over an index.

    Args:
        searcher: searches it; entered and left with the application.
        caller: calls its tools; entered and left with the application.
        token: what callers must show; None asks for none, which only suits a server on loopback.
        hosts: the names under which the server may be addressed; None where the token is what protects it.
    """

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok", "tools": len(searcher.index)})

    async def retrieve(request: Request) -> Response:
        try:
            asked = Retrieve.model_validate_json(await _body(request))
            hits = await searcher.search(asked.query, asked.top_k, toolset=asked.toolset)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return refusal(400, f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}")
        except InvalidArgumentsError as error:
            return refusal(400, str(error))
        except BusyError as error:
            return refusal(503, str(error))
        except ClientDisconnect:
            return refusal(400, "the request broke off")
        except _TooLongError:
            return refusal(413, f"a request has at most {MAX_BODY} bytes")
        except DeepAgentError as error:
            return refusal(500, str(error))
        return JSONResponse({"tools": [hit.model_dump(mode="json") for hit in hits]})

    mcp = mcp_server(searcher, caller)
    streamable = mcp.streamable_http_app(
        streamable_http_path="/", transport_security=_UNGUARDED, max_request_body_size=MAX_BODY
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with searcher, caller, mcp.session_manager.run():
            yield

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/retrieve", retrieve, methods=["POST"]),
            Mount("/mcp", streamable),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        lifespan=lifespan,
    )


class _TooLongError(Exception):
    """A body without a length turned out to be too long."""


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _TooLongError
    return bytes(body)
