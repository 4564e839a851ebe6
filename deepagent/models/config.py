"""What a model's YAML file may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepagent.models.weights import DEFAULT, Weights
from deepagent.secrets import Secret

Api = Literal["auto", "completions", "chat"]


class KindConfig(BaseModel):
    """The part that says how to read the rest."""

    kind: Literal["http", "embedded", "vllm", "transformers"]


class HttpConfig(BaseModel):
    """A model behind a server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["http"]
    url: str
    """Base of the API, such as http://127.0.0.1:8000/v1."""
    model: str | None = None
    """Name at the server; left out where it serves one only."""
    api: Api = "auto"
    """One continuing stream (completions), a conversation (chat), or what the server offers (auto)."""
    context: int | None = Field(None, ge=256)
    """Window in tokens, for servers that do not tell."""
    timeout: float = Field(1800.0, gt=0)
    """Longest time of one request in seconds."""
    turns: bool = False
    """What the model observes is a turn of its own: better for small instruct models."""
    functions: bool | None = None
    """Whether a chat API takes functions (tools); left out, it is asked."""
    retries: int = Field(4, ge=0, le=20)
    """Further attempts after a failure that may pass."""
    api_key: Secret | None = None
    """Where the key is found, `{env: NAME}` or `{file: PATH}`; the key itself is never written down."""


class EmbeddedConfig(BaseModel):
    """A small model inside this process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["embedded"]
    weights: str | Weights = DEFAULT
    """Name in the catalogue, path of a GGUF file, or an entry with its own pinned source."""
    context: int = Field(8192, ge=256)
    """Window in tokens."""
    turns: bool = True
    """What the model observes is a turn of its own; false for a reasoning model."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; all but one by default."""
    adapter: Path | None = None
    """Folder of a LoRA adapter to put on the weights."""


class VllmConfig(BaseModel):
    """A model on vLLM's engine inside this process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["vllm"]
    model: str
    """Folder of the weights, or their name at the model hub."""
    context: int | None = Field(None, ge=256)
    """Window in tokens; left out, the model's own."""
    turns: bool = False
    """What the model observes is a turn of its own: better for small instruct models."""
    timeout: float = Field(1800.0, gt=0)
    """Longest time of one reply in seconds."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of vLLM's engine, such as `tensor_parallel_size`."""
    adapter: Path | None = None
    """Folder of a LoRA adapter to put on the weights."""


class TransformersConfig(BaseModel):
    """A model of the transformers library inside this process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["transformers"]
    model: str
    """Folder of the weights."""
    adapter: Path | None = None
    """Folder of a LoRA adapter to put on them."""
    context: int | None = Field(None, ge=256)
    """Window in tokens; left out, the model's own."""
    turns: bool = True
    """What the model observes is a turn of its own; false for a reasoning model."""


ModelConfig = HttpConfig | EmbeddedConfig | VllmConfig | TransformersConfig
