"""Credentials: named in settings, read on the host at the moment of use, struck out of everything that comes back."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, ConfigDict, model_validator

from deepagent.errors import UsageError

_STRUCK = "[credential]"
_SHORTEST = 4
"""A shorter secret is not struck out: it would tear holes into ordinary text, and protects nothing."""


class Secret(BaseModel):
    """Where a credential is found; never the credential itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = None
    """Environment variable that holds it; white space around it is dropped."""
    file: Path | None = None
    """File that holds it; likewise."""

    @model_validator(mode="before")
    @classmethod
    def _never_itself(cls, given: Any) -> Any:
        if isinstance(given, str):
            raise ValueError("a credential is never written down: name its place, {env: NAME} or {file: PATH}")
        return given

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("name either env or file")
        return self

    def reveal(self) -> str:
        """The credential.

        Raises:
            UsageError: it is not there; the message names the place, never the content.
        """
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()
            place = f"the environment variable {self.env}"
        else:
            place = f"the file {self.file}"
            try:
                value = Path(self.file or "").read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"{place} cannot be read, but a credential is to be there") from error
        if not value:
            raise UsageError(f"{place} is empty, but a credential is to be there: set it")
        return value


class Redactor:
    """Strikes credentials out of text, in every spelling that a server could echo."""

    def __init__(self) -> None:
        self._spellings: list[str] = []

    def learn(self, secrets: Iterable[str]) -> None:
        """Know more credentials."""
        known = set(self._spellings)
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                plain = secret.encode()
                known |= {secret, quote(secret, safe=""), quote_plus(secret), quote(secret)}
                known |= {base64.b64encode(plain).decode(), base64.urlsafe_b64encode(plain).decode()}
                known |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        self._spellings = sorted(known, key=len, reverse=True)

    def struck(self, text: str) -> str:
        """The text without them."""
        for spelling in self._spellings:
            text = text.replace(spelling, _STRUCK)
        return text

    def struck_bytes(self, data: bytes) -> bytes:
        """The same for what is not decoded yet."""
        for spelling in self._spellings:
            data = data.replace(spelling.encode("utf-8", "replace"), _STRUCK.encode())
        return data

    def struck_value(self, value: Any) -> Any:
        """The same for a JSON value."""
        if isinstance(value, str):
            return self.struck(value)
        if isinstance(value, dict):
            return {self.struck(str(key)): self.struck_value(one) for key, one in value.items()}
        return [self.struck_value(one) for one in value] if isinstance(value, list) else value
