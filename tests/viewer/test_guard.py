"""Who is let in, and what the pages may do."""

import pytest
from starlette.testclient import TestClient

from deepagent.viewer.app import create_app
from tests.viewer.conftest import BASE
from tests.viewer.runs import write_run


def test_every_answer_is_fenced_in(page, store):
    run = write_run(store, 3)
    for address in ("/", f"/runs/{run}", f"/runs/{run}/text/1/task", "/nowhere", "/static/viewer.css"):
        headers = page.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7861", "127.0.0.1.evil.example", "", "[", "0.0.0.0"])
def test_another_name_is_not_answered(page, host):
    assert page.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:7861", "127.0.0.1", "[::1]:7861", "LOCALHOST"])
def test_the_machine_s_own_names_are(page, host):
    assert page.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:9999", "http://[::1"])
def test_no_other_site_s_page_may_change_anything(page, origin):
    headers = {} if origin is None else {"origin": origin}
    assert page.post("/runs/x/decide", headers=headers).status_code == 403


@pytest.fixture
def closed(store, path):
    """A page that other machines can reach."""
    with TestClient(create_app(path, token="secret", hosts=None), base_url=BASE, follow_redirects=False) as client:
        yield client


def test_without_the_token_nothing_is_told(closed):
    for address in ("/", "/?token=wrong", "/static/viewer.js"):
        answer = closed.get(address)
        assert answer.status_code == 401
        assert "secret" not in answer.text
    assert closed.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert closed.get("/", headers={"cookie": "deepagent_token=wrong"}).status_code == 401
    assert closed.get("/", headers={"authorization": "Bearer sécret".encode("latin-1")}).status_code == 401


def test_the_token_moves_from_the_address_into_a_cookie(closed):
    answer = closed.get("/?token=secret&text=x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?text=x")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert closed.get("/").status_code == 200


def test_programs_bring_the_token_along(closed):
    assert closed.get("/", headers={"authorization": "Bearer secret"}).status_code == 200


def test_the_way_into_the_cookie_never_leads_to_another_host(closed):
    for path in ("//evil.example/", "/%5Cevil.example/"):
        location = closed.get(f"{BASE}{path}?token=secret").headers["location"]
        assert location.rstrip("/") == "/evil.example"
