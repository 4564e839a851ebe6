from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.errors import ContextOverflowError, ModelUnavailableError
from deepagent.models import failures


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "request (2048 tokens) exceeds the available context size (2048 tokens), try increasing it",
        "Input length exceeds max_model_len",
    ],
)
def test_what_servers_say_about_a_full_window_is_understood(message: str):
    body = f'{{"error": {{"message": "{message}"}}}}'
    assert isinstance(failures.from_status("here", 400, body), ContextOverflowError)
    assert isinstance(failures.from_message("here", body), ContextOverflowError)


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "api_key"), (404, "the model name"), (400, "too warm"), (503, "look at its log")]
)
def test_a_status_names_its_remedy(status: int, remedy: str):
    error = failures.from_status("here", status, '{"error": {"message": "too warm"}}')
    assert isinstance(error, ModelUnavailableError)
    assert remedy in str(error)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "no\\n  more"}}', "no more"),
        ('{"error": "plain"}', "plain"),
        ('{"detail": [{"msg": "x"}]}', '[{"msg": "x"}]'),
        ("<html>Bad\nGateway</html>", "<html>Bad Gateway</html>"),
        ("", "no message"),
    ],
)
def test_the_message_is_one_line_whatever_the_body(body: str, said: str):
    assert failures.server_message(body) == said


@given(st.text(max_size=2000))
def test_no_body_can_break_the_message(body: str):
    said = failures.server_message(body)
    assert said
    assert len(said) <= 200
    assert "\n" not in said


@pytest.mark.parametrize(("value", "seconds"), [("3", 3.0), ("0.5", 0.5), (" 2 ", 2.0), ("-1", None), ("soon", None)])
def test_retry_after_in_seconds(value: str, seconds: float | None):
    assert failures.parse_retry_after(value) == seconds


def test_retry_after_as_a_date():
    soon = failures.parse_retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    past = failures.parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    assert soon is not None
    assert 25 < soon <= 30
    assert past == 0.0


def test_delays_double_and_stay_bounded():
    assert [0.25 * 2**n <= failures.delay(n, None) <= 0.5 * 2**n for n in range(5)] == [True] * 5
    assert failures.delay(1000, None) <= failures.LONGEST_DELAY
    assert failures.delay(0, "100000") == failures.LONGEST_DELAY
    assert failures.delay(0, "2") == 2.0
