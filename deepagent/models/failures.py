"""What a failed request means, and how long to wait before the next attempt."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from deepagent.errors import BrokenReplyError, ContextOverflowError, ModelError, ModelUnavailableError
from deepagent.tools import well_formed

RETRIED = frozenset({429, 500, 502, 503, 504})
FIRST_DELAY = 0.5
LONGEST_DELAY = 60.0
"""Seconds; a server that asks for more patience is not waited for longer."""

OVERFLOW = (
    "context length",
    "context size",
    "context_length_exceeded",
    "exceed_context_size",
    "context window",
    "maximum model length",
    "max_model_len",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "maximum number of tokens allowed",
    "maximum prompt length",
    "reduce the length of the messages",
)
"""How servers say that prompt and reply do not fit; they agree on no error code."""


class StatusError(ModelUnavailableError):
    """The server answered with an HTTP status that is no success.

    Attributes:
        status: HTTP status code.
        said: the server's own words.
    """

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status = status
        self.said = said


class RefusedError(StatusError):
    """The server understood the request and will not serve it as it is."""


def from_status(where: str, status: int, body: str) -> ModelError:
    """The error that an HTTP status and body stand for.

    Args:
        where: the server, for the message.
        status: HTTP status code.
        body: text of the response, JSON or not.
    """
    said = server_message(body)
    if status == 413 or (status != 429 and is_overflow(said)):  # "too many tokens" a minute is another matter
        return _overflow(where, said)
    if status in (401, 403):
        remedy = "set `api_key` in the model's config"
        return RefusedError(f"{where} refuses the key (HTTP {status}): {remedy}", status, said)
    if status == 404:
        remedy = "check the URL and the model name"
        return RefusedError(f"{where} does not know this (HTTP 404: {said}): {remedy}", status, said)
    if status in RETRIED:
        return StatusError(f"{where} keeps failing (HTTP {status}: {said}): look at its log", status, said)
    return RefusedError(f"{where} refuses the request (HTTP {status}: {said})", status, said)


def from_message(where: str, body: str) -> ModelError:
    """The error that an error object inside a reply stands for."""
    said = server_message(body)
    if is_overflow(said):
        return _overflow(where, said)
    return BrokenReplyError(f"{where} gave up during the reply ({said}): look at its log")


def is_overflow(said: str) -> bool:
    """Whether a server's message says that prompt and reply do not fit its window."""
    lowered = said.lower()
    return any(phrase in lowered for phrase in OVERFLOW)


def server_message(body: str) -> str:
    """What a server's error body says, in one line of at most 200 characters."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = body
    for key in ("error", "message", "detail"):
        if isinstance(data, dict) and data.get(key):
            data = data[key]
    text = " ".join((data if isinstance(data, str) else json.dumps(data)).split())
    return well_formed(text[:200]) or "no message"


def delay(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 0): what the server asked for, else doubling.

    A random part keeps many clients from coming back at the same moment.
    """
    asked = parse_retry_after(retry_after) if retry_after else None
    if asked is not None:
        return min(asked, LONGEST_DELAY)
    return min(FIRST_DELAY * 2.0**attempt, LONGEST_DELAY) * random.uniform(0.5, 1.0)  # noqa: S311 (not a secret)


def parse_retry_after(value: str) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number or an HTTP date; None when it is neither."""
    try:
        return max(0.0, float(value)) if value.strip().replace(".", "", 1).isdigit() else _until(value)
    except (ValueError, OverflowError):
        return None


def _overflow(where: str, said: str) -> ContextOverflowError:
    return ContextOverflowError(
        f"{where} says that the prompt does not fit ({said}): fold earlier, or raise its context"
    )


def _until(value: str) -> float:
    moment: datetime = parsedate_to_datetime(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
