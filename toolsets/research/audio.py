"""Recordings as text, by whoever can transcribe them."""

from __future__ import annotations

import json
import secrets
from typing import Protocol

from deepagent.errors import ToolFailedError
from deepagent.secrets import Redactor
from deepagent.toolsets.http import Fetcher, Guard, Request, host_of
from deepagent.toolsets.research.config import TranscriberConfig

_SECONDS = 300.0


class Transcriber(Protocol):
    """Turns a recording into text."""

    async def transcribe(self, data: bytes, name: str) -> str:
        """What is said in it.

        Raises:
            ToolError: it cannot be transcribed.
        """
        ...


class ServerTranscriber:
    """A server with OpenAI's endpoint for transcriptions.

    Args:
        config: the server.
    """

    def __init__(self, config: TranscriberConfig) -> None:
        self._config = config

    async def transcribe(self, data: bytes, name: str) -> str:
        """See `Transcriber`."""
        config, host, redactor = self._config, host_of(self._config.url), Redactor()
        boundary = f"part-{secrets.token_hex(16)}"
        plain = "".join(letter for letter in name if letter.isalnum() or letter in "._-") or "recording"
        body = b"".join(
            (
                f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{config.model}\r\n'.encode(),
                f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{plain}"\r\n'.encode(),
                b"Content-Type: application/octet-stream\r\n\r\n" + data + f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if config.key is not None:
            key = config.key.reveal()
            redactor.learn([key])
            headers["Authorization"] = f"Bearer {key}"
        guard = Guard(hosts=frozenset({host}), named=frozenset({host}), seconds=_SECONDS)
        async with Fetcher(guard) as fetcher:
            response = await fetcher.fetch(
                Request("POST", f"{config.url.rstrip('/')}/audio/transcriptions", headers, body)
            )
        try:
            text = json.loads(response.body)["text"] if response.status == 200 else None
        except (ValueError, KeyError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            said = " ".join(redactor.struck(response.text()).split())[:200]
            raise ToolFailedError(f"{host} does not transcribe {name} (status {response.status}): {said}")
        return text
