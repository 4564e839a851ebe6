"""A FastAPI server that takes every kind of body and credential, and misbehaves on demand."""

import asyncio
from typing import Annotated, Any

from fastapi import Cookie, Depends, FastAPI, File, Form, Header, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse, StreamingResponse
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBasicCredentials, HTTPBearer, OAuth2
from pydantic import BaseModel

KEY, USER, PASSWORD = "canary-key-7f3a", "ada", "canary-password-91c4"
CLIENT, CLIENT_SECRET = "client-1", "canary-client-secret-55d0"


class Order(BaseModel):
    """What is ordered."""

    sku: str
    count: int = 1
    notes: list[str] | None = None


oauth = OAuth2(flows={"clientCredentials": {"tokenUrl": "/token", "scopes": {}}})  # type: ignore[arg-type]


def make() -> FastAPI:
    app = FastAPI(title="Shop", version="1")
    app.state.tries = 0
    app.state.tokens = 0
    app.state.seen = []

    @app.post("/orders/{customer}")
    async def order(customer: int, order: Order, dry: bool = False) -> Any:
        """Order something."""
        return {"customer": customer, "dry": dry, **order.model_dump()}

    @app.get("/echo")
    async def echo(
        number: int,
        word: Annotated[list[str], Query()],
        x_trace: Annotated[str, Header()],
        session: Annotated[str, Cookie()],
        share: float | None = None,
    ) -> Any:
        return {"number": number, "word": word, "x_trace": x_trace, "session": session, "share": share}

    @app.post("/form")
    async def form(name: Annotated[str, Form()], age: Annotated[int, Form()]) -> Any:
        return {"name": name, "age": age}

    @app.post("/upload")
    async def upload(photo: UploadFile, more: Annotated[list[bytes], File()], title: Annotated[str, Form()]) -> Any:
        content = await photo.read()
        return {"kind": photo.content_type, "bytes": len(content), "more": [len(one) for one in more], "title": title}

    add_guarded(app)
    add_faulty(app)
    return app


def add_guarded(app: FastAPI) -> None:
    @app.get("/by-header")
    async def by_header(key: Annotated[str, Depends(APIKeyHeader(name="X-Key"))]) -> Any:
        return {"right": key == KEY, "echo": key}

    @app.get("/by-query")
    async def by_query(key: Annotated[str, Depends(APIKeyQuery(name="api_key"))]) -> Any:
        return {"right": key == KEY, "echo": f"<{key}>"}

    @app.get("/by-basic")
    async def by_basic(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())], request: Request) -> Any:
        right = (given.username, given.password) == (USER, PASSWORD)
        return {"right": right, "echo": [given.password, request.headers["authorization"]]}

    @app.get("/by-bearer")
    async def by_bearer(given: Annotated[Any, Depends(HTTPBearer())]) -> Any:
        if given.credentials != KEY:
            raise HTTPException(403, f"wrong: {given.credentials}")
        return {"right": True}

    @app.post("/token", include_in_schema=False)
    async def token(request: Request) -> Any:
        app.state.tokens += 1
        app.state.seen.append((request.headers.get("authorization"), (await request.body()).decode()))
        return {
            "access_token": f"canary-token-{app.state.tokens}",
            "expires_in": 3600,
            "refresh_token": "canary-next-refresh",
        }

    @app.get("/by-oauth")
    async def by_oauth(given: Annotated[str, Depends(oauth)]) -> Any:
        """The first token is refused, as if it had been revoked."""
        if given != "Bearer canary-token-2":
            raise HTTPException(401, f"revoked: {given}")
        return {"right": True}


def add_faulty(app: FastAPI) -> None:
    @app.get("/busy")
    async def busy(times: int, response: Response) -> Any:
        return _fail_first(app, times, response)

    @app.post("/busy")
    async def busy_post(times: int, response: Response, wait: bool = False) -> Any:
        return _fail_first(app, times, response, wait)

    @app.get("/away")
    async def away(to: str) -> Any:
        return RedirectResponse(to)

    @app.get("/endless")
    async def endless() -> Any:
        async def forever() -> Any:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)  # or nothing else runs once the client is gone

        return StreamingResponse(forever())

    @app.get("/silent")
    async def silent(request: Request) -> Any:
        await request.receive()  # the request's end
        await request.receive()  # the client's farewell
        return None

    @app.get("/lies")
    async def lies(kind: str) -> Any:
        told = {"json": b'{"a": 1}', "text": b"plain \xc3\xa9", "binary": b"\x89PNG\r\n\0\0", "empty": b""}
        claimed = {"json": "image/png", "text": "application/json", "binary": "application/json", "empty": "text/html"}
        return Response(told[kind], media_type=claimed[kind])

    @app.get("/pages")
    async def pages(response: Response, page: int = 1) -> Any:
        if page < 3:
            response.headers["Link"] = (
                f'<https://shop.test/pages?page={page + 1}&other=1>; rel="next", </>; rel="first"'
            )
        return [{"id": page, "name": f"n{page}"}]


def _fail_first(app: FastAPI, times: int, response: Response, wait: bool = False) -> Any:
    app.state.tries += 1
    if app.state.tries <= times:
        response.status_code = 503
        if wait:
            response.headers["Retry-After"] = "0"
    return {"tries": app.state.tries}
