"""What a response becomes: the next page in arguments, wherever the server names it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.toolsets.http import Response
from deepagent.toolsets.openapi.exchange import result
from deepagent.toolsets.openapi.operations import Operation
from deepagent.toolsets.openapi.styles import spelling


def paged(*parameters: str) -> Operation:
    """An operation with these query parameters."""
    return Operation(
        name="items", method="GET", path="/items", description="", effect="pure", server="https://a.test", body=None,
        spellings={name.replace("-", "_"): spelling(name, "query", None, None) for name in parameters},
        requirements=(), schema={"type": "object"},
    )  # fmt: skip


def shown(operation: Operation, body: Any) -> Any:
    return result(operation, Response(200, "https://a.test/items", {}, json.dumps(body).encode()), None)


@pytest.mark.parametrize(
    ("parameter", "told", "following"),
    [
        ("page_token", {"next_page_token": "t1"}, {"page_token": "t1"}),
        ("pageToken", {"nextPageToken": "t1"}, {"pageToken": "t1"}),
        ("cursor", {"response_metadata": {"next_cursor": "c"}}, {"cursor": "c"}),
        ("starting-after", {"next": "id7"}, {"starting_after": "id7"}),
        ("page", {"next_page": 3}, {"page": "3"}),
        ("page", {"links": {"next": "https://a.test/items?page=3&other=1"}}, {"page": "3"}),
        ("offset", {"next": "/items?offset=40"}, {"offset": "40"}),
        ("offset", {"meta": {"nextOffset": 40}}, {"offset": "40"}),
    ],
)
def test_the_next_page_is_found_in_the_fields_that_apis_use(parameter, told, following):
    body = {"items": [1], **told}
    assert shown(paged(parameter), body) == {"data": body, "next": following}


@pytest.mark.parametrize(
    "told",
    [{"next": None}, {"next": ""}, {"next_cursor": None}, {"next": True}, {"next": {"page": 2}}, {"next_page": "p"},
     {"next": "https://a.test/items?unknown=1"}, {"next": "http://["}, {"nexus": "x"}],
)  # fmt: skip
def test_the_last_page_and_what_no_parameter_takes_stay_as_they_are(told):
    assert shown(paged("cursor"), told) == told


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["next", "links", "next_cursor", "a"]) | st.text(), inner) | st.lists(inner)))  # fmt: skip
def test_any_json_is_shown(body):
    found = shown(paged("cursor", "page"), body)
    assert found == body or found["data"] == body
