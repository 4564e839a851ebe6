"""The settings of an agent and of the command line, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deepagent import plugins, settings
from deepagent.budget import Limits
from deepagent.memory.config import FoldConfig
from deepagent.models.base import Sampling
from deepagent.models.roles import Role
from deepagent.reranking import Reranking
from deepagent.retrieval.choice import ENCODERS, TUNED, known_encoder
from deepagent.sandbox import SandboxConfig
from deepagent.settings import Given, Merged

PREFIX = "DEEPAGENT_"
"""What the names of variables begin with that hold settings: `DEEPAGENT_AGENT__LIMITS__ACTIONS`."""
FILE = f"{PREFIX}CONFIG"
"""Names the file of settings where no option does."""
PLACES = (FILE, f"{PREFIX}STORE", f"{PREFIX}CACHE")
"""Variables that say where things are."""
_USUAL = Given(("agent", "experience"), True, settings.DEFAULT)
"""What differs on the command line from an agent in Python: users want what earlier runs have learnt."""


class AgentConfig(BaseModel):
    """How an agent works. Every field has a default that suits a small local model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: Limits = Limits()
    sampling: Sampling = Sampling()
    sandbox: SandboxConfig = SandboxConfig()
    fold: FoldConfig | None = FoldConfig()
    """None switches folding off: a full window then ends the run with a forced answer."""
    dialect: Literal["auto", "tags", "text", "native"] = "auto"
    """How actions are spelled: in tags of one stream (`text`: with calls as a name and values instead of JSON), or
    natively as function calls of a chat API."""
    grammar: bool = True
    """Hold calls to the schemas of the tools within reach, where the server can; off for training on what it writes."""
    approval: Literal["never", "unsafe"] = "never"
    """Which tool calls wait for a yes: none, or those of tools that must not be repeated unasked (effect `unsafe`)."""
    experience: bool = False
    """Whether earlier runs' experience with tools is offered and added to. `deepagent run` has it on; in evaluation and
    training it would let one episode help another."""
    durability: Literal["auto", "commit", "batch"] = "auto"
    """What a tool call waits for: that its intent would survive a power cut (`commit`); nothing, as a killed process
    loses nothing anyway (`batch`); the first for tools whose effect is `unsafe`, the second for others (`auto`)."""
    execute: bool = True
    """Whether the model may run Python."""
    call: bool = True
    """Whether the model may call tools itself; without it only its code can."""
    search: Literal["asked", "before"] = "asked"
    """The model searches for tools when it wants to, or those that fit the task are shown before it begins."""
    doubts: bool = True
    """Tell the model what speaks against an answer before it counts, such as that nothing was looked up or that a part
    is missing; four times in a run at most. With tools, a small model is also led into saying what it needs."""
    guidance: str = ""
    """What the model is told besides how to act, such as a strategy."""
    example: bool = True
    """Whether the prompt holds a worked example; a model that was trained to act does without."""
    found: int = Field(5, ge=1)
    """Tools that one search brings."""
    cards: int = Field(6, ge=0)
    """Up to so many tools are shown in the prompt; more are found by search."""
    result_tokens: int = Field(700, ge=50)
    """Longest result in the stream; the rest is kept and can be recalled."""
    tool_seconds: float = Field(60, gt=0)
    """Time limit of one tool call."""
    rerank: Reranking | None = None
    """Let the auxiliary model choose among the tools that a search found; one more call per search."""
    encoder: str = TUNED
    """What embeds tools for search. `hash` knows no synonyms; a folder holds one of your own; plugins bring others."""

    @field_validator("encoder")
    @classmethod
    def _known_encoder(cls, name: str) -> str:
        if not known_encoder(name):
            raise ValueError(f"no encoder is called {name!r}; known are {plugins.known('encoders', ENCODERS)}")
        return name


class Price(BaseModel):
    """What a model's tokens cost, in USD per million."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: float = Field(ge=0)
    cached: float | None = Field(None, ge=0)
    """Prompt tokens that the server had computed already; by default as dear as others."""
    completion: float = Field(ge=0)


class RunConfig(BaseModel):
    """A YAML file for the command line: what to run besides how to work."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "embedded"
    """Model that works on tasks."""
    auxiliary: str | None = None
    """Model that folds memory, extracts and plays simulated APIs; by default the main one."""
    judge: str | None = None
    """Model that grades answers; by default the auxiliary one."""
    vision: str | None = None
    """Model that looks at images."""
    tools: tuple[str | dict[str, Any], ...] = ()
    """Sources of tools: `kind:where`, or settings with a `kind`."""
    prices: dict[Role, Price] = {}
    """What tokens cost by role; evaluations tell the cost where the price of every model is known."""
    agent: AgentConfig = AgentConfig()

    @property
    def roles(self) -> dict[Role, str | None]:
        """The models by what they are for."""
        return {"main": self.model, "auxiliary": self.auxiliary, "judge": self.judge, "vision": self.vision}


def effective(
    config: Path | None = None, options: Iterable[Given] = (), environ: Mapping[str, str] = os.environ
) -> Merged[RunConfig]:
    """The settings that count: options over the environment over the file over defaults.

    Args:
        config: the file; by default the one that the variable `DEEPAGENT_CONFIG` names, if any.
        options: what the command line says.
        environ: variables.

    Raises:
        ConfigError: a place cannot be read, or gives a setting that is unknown or out of range.
    """
    file = config or (Path(environ[FILE]) if environ.get(FILE) else None)
    return settings.merge(
        [
            _USUAL,
            *([settings.from_file(file)] if file is not None else []),
            *settings.from_environment(environ, PREFIX, RunConfig, PLACES),
            *options,
        ],
        RunConfig,
    )
