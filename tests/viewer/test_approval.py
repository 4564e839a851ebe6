"""A tool call is approved or refused in the page, and nowhere else by accident."""

import re

import pytest

from deepagent.runs.events import ApprovalAsked, ApprovalGiven
from tests.viewer.conftest import BASE
from tests.viewer.runs import HOSTILE, begin, step


@pytest.fixture
def asked(store):
    """A run of this process in which a call waits."""
    log = begin(store)
    step(log, 1)
    log.append(ApprovalAsked(step=1, tool="delete_order", arguments={"id": 7, "why": HOSTILE}))
    return log


def press(page, run, **changed):
    """Press the form's button as a browser does."""
    form = page.get(f"/runs/{run}").text.split('<form method="post"')[1].split("</form>")[0]
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    headers = {"origin": changed.pop("origin", BASE)}
    return page.post(f"/runs/{run}/decide", data={**fields, "approved": "yes", **changed}, headers=headers)


@pytest.mark.parametrize(("button", "approved"), [("yes", True), ("no", False)])
def test_the_decision_reaches_the_run(page, store, asked, button, approved):
    assert "1 to approve" in page.get("/").text
    answer = press(page, asked.id, approved=button)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{asked.id}#step-1")
    assert asked.decision(1, 0) == ApprovalGiven(step=1, call=0, approved=approved, by="page")
    text = page.get(f"/runs/{asked.id}").text
    assert "the run goes on with it" in text
    assert "Approve<" not in text


def test_what_is_to_be_approved_is_shown_as_text(page, asked):
    text = page.get(f"/runs/{asked.id}").text
    assert "delete_order" in text
    assert "<script>alert" not in text


def test_a_call_is_decided_once(page, asked):
    pressed = page.get(f"/runs/{asked.id}").text
    mark = re.search(r'name="mark" value="([^"]+)"', pressed)[1]
    fields = {"mark": mark, "step": "1", "call": "0", "approved": "no"}
    headers = {"origin": BASE}
    assert page.post(f"/runs/{asked.id}/decide", data=fields, headers=headers).status_code == 303
    late = page.post(f"/runs/{asked.id}/decide", data={**fields, "approved": "yes"}, headers=headers)
    assert late.status_code == 409
    assert asked.decision(1, 0).approved is False


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"mark": "guessed"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"approved": "maybe"}, 400),
        ({"step": "x"}, 400),
        ({"step": "2"}, 409),
    ],
)
def test_whatever_is_not_this_form_decides_nothing(page, asked, changed, code):
    assert press(page, asked.id, **changed).status_code == code
    assert asked.decision(1, 0) is None


def test_a_link_decides_nothing(page, asked):
    assert page.get(f"/runs/{asked.id}/decide?step=1&call=0&approved=yes").status_code == 405
    assert asked.decision(1, 0) is None


def test_what_was_decided_stays_on_the_timeline(page, asked):
    asked.append(ApprovalGiven(step=1, call=0, approved=False, by="terminal"))
    assert re.search(r"Refused <span[^>]*>by terminal", page.get(f"/runs/{asked.id}").text)
