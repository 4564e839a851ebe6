"""What a training run is made of, as a YAML file says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deepagent.config import AgentConfig
from deepagent.models.base import Sampling
from deepagent.models.config import HttpConfig
from deepagent.training.toolpo import ToolPOConfig


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lora(_Part):
    """A LoRA adapter instead of all weights."""

    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get one."""


class Tiny(_Part):
    """A model from nothing, see `deepagent.training.tiny.make_tiny`."""

    vocabulary: int = Field(1024, ge=300)
    hidden: int = Field(128, ge=32, multiple_of=32)
    layers: int = Field(4, ge=1)


class Policy(_Part):
    """The model that is trained."""

    model: str | None = None
    """Folder of a model of the transformers library; left out, a tiny one is made."""
    tiny: Tiny = Tiny()
    context: int = Field(1024, ge=256)
    """Window in tokens."""
    turns: bool = True
    """What the model observes is a turn of its own."""
    lora: Lora | None = None
    """None trains all weights."""


class Tasks(_Part):
    """What is trained on."""

    benchmark: str = "lookup"
    settings: dict[str, Any] = Field(default_factory=dict)
    """As in `configs/benchmarks/NAME.yaml`. Published test items are never trained on: give a training split."""


class SFT(_Part):
    """Supervised fine-tuning: on demonstrations of the tasks' oracle, or on runs that were collected."""

    tasks: Tasks = Tasks()
    data: Path | None = None
    """File of conversations, as `deepagent train collect` writes it; then there are no demonstrations."""
    trainer: dict[str, Any] = Field(default_factory=dict)
    """Settings of TRL's `SFTConfig`."""


class ToolPO(_Part):
    """Reinforcement learning."""

    tasks: Tasks = Tasks()
    method: ToolPOConfig = ToolPOConfig()
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=128)
    group: int = Field(8, ge=2)
    """Rollouts of each task: K of the paper."""
    server: HttpConfig | None = None
    """A vLLM server that writes the rollouts with the policy's adapter; left out, they are written in this process."""
    trainer: dict[str, Any] = Field(default_factory=dict)
    """Settings of TRL's `GRPOConfig`."""

    @field_validator("server")
    @classmethod
    def _not_the_policys(cls, server: HttpConfig | None) -> HttpConfig | None:
        given = server.model_fields_set & {"model", "api", "context", "turns", "functions"} if server else None
        if given:
            raise ValueError(f"{', '.join(sorted(given))}: the policy decides, leave it out")
        return server


class Recipe(_Part):
    """A training run: what is trained, on what, and how."""

    policy: Policy = Policy()
    agent: AgentConfig = AgentConfig()
    seed: int = 0
    sft: SFT | None = None
    toolpo: ToolPO | None = None
