"""Settings of the research toolset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepagent.secrets import Secret


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SerperConfig(_Settings):
    """Google's results by serper.dev."""

    engine: Literal["serper"]
    key: Secret = Secret(env="SERPER_API_KEY")
    url: str = "https://google.serper.dev"


class BraveConfig(_Settings):
    """Brave's search API."""

    engine: Literal["brave"]
    key: Secret = Secret(env="BRAVE_API_KEY")
    url: str = "https://api.search.brave.com"


class SearxngConfig(_Settings):
    """A SearXNG server; its settings must allow the format json."""

    engine: Literal["searxng"]
    url: str


class CorpusConfig(_Settings):
    """Documents of one's own instead of the web: nothing is fetched, and the same question has the same results."""

    engine: Literal["corpus"]
    folder: Path
    """Holds `.md`, `.txt` and `.html` files, and `.jsonl` files of objects with `url`, `title` and `text`."""


SearchConfig = Annotated[SerperConfig | BraveConfig | SearxngConfig | CorpusConfig, Field(discriminator="engine")]


class TranscriberConfig(_Settings):
    """A server with OpenAI's endpoint for transcriptions, such as those of whisper.cpp and vLLM."""

    url: str
    """Base of the API, such as http://127.0.0.1:8000/v1."""
    model: str = "whisper-1"
    key: Secret | None = None


class ResearchConfig(_Settings):
    """The toolset."""

    kind: Literal["research"] = "research"
    search: SearchConfig | None = None
    """By default there is no `web_search`. With a corpus, `browse` opens its documents and nothing else."""
    folders: tuple[Path, ...] = ()
    """Folders whose files may be read, beside those of the run."""
    hosts: tuple[str, ...] = ()
    """Hosts that may be browsed although they lie at a private address, such as an intranet's."""
    transcriber: TranscriberConfig | None = None
    """What turns recordings into text."""
    chars: int = Field(8000, ge=500)
    """Longest piece of a text that one call shows."""
    max_bytes: int = Field(20_000_000, ge=1000)
    """Longest body that is fetched."""
    seconds: float = Field(30, gt=0)
    """Longest time of one fetch."""
