"""Where requests may go: whatever a name, a redirect or a spelling pretends, only public or named addresses are met."""

import ipaddress
import socket

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse

from deepagent.errors import ToolFailedError, UnreachableError
from deepagent.toolsets import http as module
from deepagent.toolsets.http import Fetcher, Guard, is_public, shown
from tests.toolsets.servers import serving


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "100.64.0.1",
     "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
     "2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:0:0:0:0:80ff:fffe"],
)  # fmt: skip
def test_addresses_of_this_machine_and_its_network_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_addresses_of_the_open_internet_are(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://2130706433/",
     "http://0x7f.1/", "http://127.1/", "http://0/", "http://169.254.169.254/latest/meta-data", "http://[fe80::1%25lo]/"],
)  # fmt: skip
async def test_no_spelling_of_a_private_address_is_met(url):
    async with Fetcher(Guard()) as fetcher:
        with pytest.raises(ToolFailedError, match=r"no public address|cannot be reached|is no URL|cannot be fetched"):
            await fetcher.fetch(module.Request("GET", url))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a.test/",
        "gopher://a.test/",
        "javascript:1",
        "http://",
        "//a.test",
        "",
        "http://a:b@c.test/",
    ],
)
async def test_other_schemes_and_credentials_in_urls_are_refused(url):
    async with Fetcher(Guard()) as fetcher:
        with pytest.raises(ToolFailedError, match=r"is no http or https URL|holds credentials|is no URL"):
            await fetcher.fetch(module.Request("GET", url))


async def test_a_name_that_changes_its_address_after_the_check_is_met_at_the_checked_one(monkeypatch):
    """DNS rebinding: the second look at a name never happens."""
    answers = iter([[("1.1.1.1", 80)], [("127.0.0.1", 80)]])
    looked: list[str] = []

    def resolve(host, port, *_, **__):
        looked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address, _ in next(answers)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    resolver = module._GuardedResolver(frozenset())
    assert [one["host"] for one in await resolver.resolve("rebinding.test", 80)] == ["1.1.1.1"]
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("rebinding.test", 80)
    assert looked == ["rebinding.test"] * 2


async def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 80)) for one in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    async with Fetcher(Guard()) as fetcher:
        with pytest.raises(ToolFailedError, match=r"mixed\.test is at 10\.0\.0\.1, which is no public address"):
            await fetcher.fetch(module.Request("GET", "http://mixed.test/"))


@pytest.fixture
def server():
    app = FastAPI()

    @app.api_route("/away", methods=["GET", "POST"])
    async def away(to: str, status: int = 302):
        return RedirectResponse(to, status)

    @app.get("/round")
    async def around():
        return RedirectResponse("/round")

    @app.api_route("/seen", methods=["GET", "POST"])
    async def seen(request: Request):
        return {"method": request.method, "key": request.headers.get("x-key"), "body": (await request.body()).decode()}

    with serving(app) as url:
        yield url


def local(**options) -> Guard:
    return Guard(named=frozenset({"127.0.0.1"}), **options)


@pytest.mark.parametrize(
    "target", ["http://localhost:1/", "http://10.0.0.1/", "file:///etc/passwd", "http://[::1]/", "http://0x7f.1/"]
)
async def test_a_redirect_never_leads_to_a_private_address_that_was_not_named(server, target):
    async with Fetcher(local()) as fetcher:
        with pytest.raises(ToolFailedError, match=r"no public address|is no http"):
            await fetcher.fetch(module.Request("GET", f"{server}/away?to={target}"))


async def test_a_redirect_on_the_same_server_is_followed_with_its_headers(server):
    async with Fetcher(local()) as fetcher:
        request = module.Request("POST", f"{server}/away?to=/seen&status=307", {"X-Key": "k"}, b"b")
        assert (await fetcher.fetch(request)).body == b'{"method":"POST","key":"k","body":"b"}'
        request = module.Request("POST", f"{server}/away?to=/seen", {"X-Key": "k", "Content-Type": "text/plain"}, b"b")
        assert (await fetcher.fetch(request)).body == b'{"method":"GET","key":"k","body":""}'


async def test_another_server_sees_neither_headers_nor_body(server):
    app = FastAPI()

    @app.get("/")
    async def seen(request: Request):
        return request.headers.get("x-key")

    with serving(app) as other:
        async with Fetcher(local()) as fetcher:
            request = module.Request("GET", f"{server}/away?to={other}/", {"X-Key": "k"})
            assert (await fetcher.fetch(request)).body == b"null"
    async with Fetcher(local()) as fetcher:
        with pytest.raises(UnreachableError):
            await fetcher.fetch(module.Request("GET", f"{other}/"))
        with pytest.raises(ToolFailedError, match="redirects a body"):
            await fetcher.fetch(module.Request("POST", f"{server}/away?to={other}/&status=307", {}, b"b"))


async def test_circles_of_redirects_end(server):
    async with Fetcher(local()) as fetcher:
        with pytest.raises(ToolFailedError, match="redirects more than 5 times"):
            await fetcher.fetch(module.Request("GET", f"{server}/round"))


async def test_line_breaks_in_headers_are_not_sent(server):
    async with Fetcher(local()) as fetcher:
        with pytest.raises(ToolFailedError, match="cannot be fetched"):
            await fetcher.fetch(module.Request("GET", f"{server}/seen", {"X-Key": "a\r\nHost: b"}))


def test_what_is_shown_of_a_request_carries_no_credential():
    request = module.Request("GET", "https://u:p@a.test/x?key=secret", {"Authorization": "secret"}, b"secret")
    assert repr(request) == "Request(GET https://a.test/x)"
    assert shown("http://[") == "the URL"
