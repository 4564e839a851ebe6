"""A real FastAPI server, called through the document that it serves."""

import asyncio
import json
import time
import urllib.request

import pytest

from deepagent.errors import ConfigError, InvalidArgumentsError, ToolFailedError, ToolTimeoutError
from deepagent.tools import Tool, check_arguments
from deepagent.toolsets.openapi import toolset as module
from deepagent.toolsets.openapi.toolset import OpenApi, OpenApiConfig
from tests.toolsets.openapi import shop_app
from tests.toolsets.servers import serving

CANARIES = (shop_app.KEY, shop_app.PASSWORD, shop_app.CLIENT_SECRET, "canary")


@pytest.fixture
def app():
    return shop_app.make()


@pytest.fixture
def open_shop(app, tmp_path):
    """Makes the toolset of the running server, with settings."""
    with serving(app) as url:
        with urllib.request.urlopen(f"{url}/openapi.json") as served:
            (tmp_path / "shop.json").write_bytes(served.read())

        def make(**settings):
            config = {"document": tmp_path / "shop.json", "server": url, **settings}
            return OpenApi(OpenApiConfig.model_validate(config))

        yield make


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.0)


def named(toolset: OpenApi, start: str) -> Tool:
    return next(tool for tool in toolset.tools if tool.name.startswith(start))


async def call(toolset: OpenApi, start: str, **arguments):
    tool = named(toolset, start)
    return await tool.invoke(check_arguments(tool.spec, arguments))


async def test_path_query_and_json_body_arrive(open_shop):
    async with open_shop() as shop:
        body = {"sku": "läm/p", "notes": ["a"]}
        answer = await call(shop, "order_orders", customer=7, body=body, dry=True)
    assert answer == {"customer": 7, "dry": True, "sku": "läm/p", "count": 1, "notes": ["a"]}


async def test_lists_headers_and_cookies_arrive_and_none_is_left_out(open_shop):
    async with open_shop() as shop:
        sent = {"number": 3, "word": ["a b", "c&d"], "x_trace": "t", "session": "s=1;"}
        answer = await call(shop, "echo", **sent, share=None)
    assert answer == {**sent, "share": None} | {"session": "s%3D1%3B"}, "a cookie arrives encoded"


async def test_forms_and_files_arrive(open_shop):
    async with open_shop() as shop:
        assert await call(shop, "form", body={"name": "A & B", "age": 3}) == {"name": "A & B", "age": 3}
        body = {"photo": "data:image/png;base64,AAEC", "more": ["one", "three"], "title": "née"}
        answer = await call(shop, "upload", body=body)
    assert answer == {"kind": "image/png", "bytes": 3, "more": [3, 5], "title": "née"}


async def test_what_the_server_refuses_is_told_in_its_words(open_shop):
    async with open_shop() as shop:
        with pytest.raises(ToolFailedError, match=r"order_orders.* failed: the server answered 422: .*valid integer"):
            await named(shop, "order_orders").invoke({"customer": "x", "body": {"sku": "a"}})
        with pytest.raises(InvalidArgumentsError, match="'body' is a required property"):
            await call(shop, "order_orders", customer=1)


async def test_a_dry_run_shows_the_request_and_sends_nothing(open_shop, app, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", shop_app.KEY)
    shop = open_shop(credentials={"APIKeyHeader": {"token": {"env": "SHOP_KEY"}}})
    tool = named(shop, "order_orders")
    assert tool.preview is not None
    shown = await tool.preview({"customer": 7, "body": {"sku": "lamp"}, "dry": True})
    assert shown.startswith("POST http://127.0.0.1:")
    assert shown.splitlines()[0].endswith("/orders/7?dry=true")
    assert shown.endswith('{"sku": "lamp"}')
    guarded = named(shop, "by_header").preview
    assert guarded is not None
    assert (await guarded({})).endswith("(with credentials for APIKeyHeader)")


CREDENTIALS = {
    "by_header": {"APIKeyHeader": {"token": {"env": "SHOP_KEY"}}},
    "by_query": {"APIKeyQuery": {"token": {"env": "SHOP_KEY"}}},
    "by_basic": {"HTTPBasic": {"token": {"env": "SHOP_BASIC"}}},
    "by_bearer": {"HTTPBearer": {"token": {"env": "SHOP_KEY"}}},
    "by_oauth": {"OAuth2": {"client_id": {"env": "SHOP_CLIENT"}, "client_secret": {"env": "SHOP_SECRET"}}},
}


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", shop_app.KEY)
    monkeypatch.setenv("SHOP_BASIC", f"{shop_app.USER}:{shop_app.PASSWORD}")
    monkeypatch.setenv("SHOP_CLIENT", shop_app.CLIENT)
    monkeypatch.setenv("SHOP_SECRET", shop_app.CLIENT_SECRET)


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_credentials_reach_the_server_and_nothing_else(open_shop, keys, name):
    async with open_shop(credentials=CREDENTIALS[name]) as shop:
        answer = await call(shop, name)
        shown = json.dumps([tool.spec.model_dump() for tool in shop.tools]) + json.dumps(answer)
    assert answer["right"] is True
    assert not any(canary in shown for canary in CANARIES)
    assert "Basic YWRh" not in shown, "nor the encoded form"


async def test_a_server_that_quotes_credentials_in_an_error_gives_nothing_away(open_shop, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "canary-wrong-key")
    async with open_shop(credentials=CREDENTIALS["by_bearer"]) as shop:
        with pytest.raises(ToolFailedError, match=r"403: .*wrong: \[credential\]"):
            await call(shop, "by_bearer")


async def test_a_revoked_token_is_renewed_once(open_shop, app, keys):
    async with open_shop(credentials=CREDENTIALS["by_oauth"]) as shop:
        assert await call(shop, "by_oauth") == {"right": True}
        assert await call(shop, "by_oauth") == {"right": True}
    assert app.state.tokens == 2
    assert [body for _, body in app.state.seen] == ["grant_type=client_credentials"] * 2


async def test_a_refresh_token_is_used_and_the_newer_one_after_it(open_shop, app, monkeypatch):
    monkeypatch.setenv("SHOP_REFRESH", "canary-first-refresh")
    async with open_shop(credentials={"OAuth2": {"refresh_token": {"env": "SHOP_REFRESH"}}}) as shop:
        assert await call(shop, "by_oauth") == {"right": True}
    assert [body.rpartition("=")[2] for _, body in app.state.seen] == ["canary-first-refresh", "canary-next-refresh"]


async def test_missing_credentials_are_told_by_place_alone(open_shop, monkeypatch):
    monkeypatch.delenv("SHOP_KEY", raising=False)
    async with open_shop(credentials=CREDENTIALS["by_header"]) as shop:
        with pytest.raises(ToolFailedError, match="environment variable SHOP_KEY is empty"):
            await call(shop, "by_header")
    async with open_shop() as shop:
        with pytest.raises(ToolFailedError, match="needs credentials for APIKeyHeader, and none are set"):
            await call(shop, "by_header")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"credentials": {"Nope": {"token": {"env": "A"}}}}, "no security scheme 'Nope'; it has"),
        ({"credentials": {"HTTPBasic": {"client_id": {"env": "A"}}}}, "give token"),
        ({"operations": {"nope": {}}}, "has no operation 'nope'"),
        ({"operations": {"form_form_post": {"result": "$["}}}, "operations.form_form_post.result"),
    ],
)
def test_settings_that_do_not_fit_the_document_are_refused(open_shop, settings, words):
    with pytest.raises(ConfigError, match=words.replace("$", r"\$")):
        open_shop(**settings)


async def test_failures_that_may_pass_are_tried_again(open_shop, app):
    async with open_shop() as shop:
        assert await call(shop, "busy_busy_get", times=2) == {"tries": 3}
        app.state.tries = 0
        with pytest.raises(ToolFailedError, match="answered 503"):
            await call(shop, "busy_busy_get", times=3)
        assert app.state.tries == 3


async def test_what_must_not_be_repeated_is_sent_once_unless_the_server_asks(open_shop, app):
    async with open_shop() as shop:
        with pytest.raises(ToolFailedError, match="answered 503"):
            await call(shop, "busy_post", times=1)
        assert app.state.tries == 1
        app.state.tries = 0
        assert await call(shop, "busy_post", times=1, wait=True) == {"tries": 2}


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "file:///etc/passwd", "http://localhost:1/", "http://evil.test/", "//[::1]/"],
)
async def test_no_redirect_leads_to_another_host(open_shop, target):
    async with open_shop() as shop:
        with pytest.raises(ToolFailedError, match=r"is not among the allowed hosts|is no http or https URL"):
            await call(shop, "away", to=target)


async def test_streams_without_end_and_silence_are_given_up(open_shop):
    async with open_shop(max_bytes=100_000, seconds=0.5) as shop:
        with pytest.raises(ToolFailedError, match="sent more than 100000 bytes"):
            await call(shop, "endless")
        with pytest.raises(ToolTimeoutError, match=r"did not answer within 0\.5 s"):
            await call(shop, "silent")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("json", {"a": 1}), ("text", "plain é"), ("binary", "[application/json, 8 bytes]"), ("empty", "")],
)
async def test_content_is_believed_more_than_what_is_claimed_of_it(open_shop, kind, value):
    async with open_shop() as shop:
        assert await call(shop, "lies", kind=kind) == value


async def test_the_next_page_is_told_in_arguments(open_shop):
    async with open_shop() as shop:
        first = await call(shop, "pages")
        assert first == {"data": [{"id": 1, "name": "n1"}], "next": {"page": "2"}}
        assert (await call(shop, "pages", **first["next"]))["next"] == {"page": "3"}
        assert await call(shop, "pages", page=3) == [{"id": 3, "name": "n3"}]


async def test_a_json_path_selects_what_is_wanted(open_shop):
    async with open_shop(operations={"pages_pages_get": {"result": "$[*].name", "effect": "idempotent"}}) as shop:
        assert named(shop, "pages").spec.effect == "idempotent"
        assert await call(shop, "pages", page=3) == ["n3"]


async def test_requests_keep_to_the_rate(open_shop):
    async with open_shop(rate=20, only=["pages*"]) as shop:
        began = time.monotonic()
        for _ in range(3):
            await call(shop, "pages", page=3)
    assert time.monotonic() - began >= 0.1


def test_a_server_that_only_the_document_names_may_not_be_private(tmp_path):
    raw = {"openapi": "3.0.0", "info": {}, "servers": [{"url": "http://127.0.0.1:9/"}], "paths": {"/a": {"get": {}}}}
    (tmp_path / "a.json").write_text(json.dumps(raw))
    toolset = OpenApi(OpenApiConfig(document=tmp_path / "a.json"))

    async def go():
        async with toolset:
            await toolset.tools[0].invoke({})

    with pytest.raises(ToolFailedError, match="which is no public address"):
        asyncio.run(go())


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_no_argument_leads_to_another_path(open_shop, value):
    async with open_shop() as shop:
        tool = named(shop, "order_orders")
        with pytest.raises(InvalidArgumentsError, match="cannot stand in a path"):
            await tool.invoke({"customer": value})
