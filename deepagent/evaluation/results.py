"""What an evaluation records: one schema for all benchmarks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from deepagent.actions import Frozen
from deepagent.config import Price
from deepagent.evaluation.base import Metric, Mode, Score, Verdict
from deepagent.models.base import Usage
from deepagent.models.roles import Role
from deepagent.runs.events import Status


class Setup(Frozen):
    """All that decides how episodes go. Results compare, and an evaluation is taken up again, where it is the same.

    Attributes:
        settings: the benchmark's own settings.
        data_hash: of tasks and attachments.
        model: as the server names it.
        context: the model's window in tokens.
        roles: the other models, as they were named in the settings.
        agent: the agent's settings, sampling among them.
        baseline: name of the config that the settings were overlaid with.
        prompt_hash: of the instructions that the model is given.
        tools_hash: of the specifications of the tools that all episodes share.
        retriever: what embeds tools for search.
        version: of this package.
    """

    benchmark: str
    mode: Mode
    settings: dict[str, Any]
    data_hash: str
    model: str
    context: int
    roles: dict[Role, str]
    agent: dict[str, Any]
    baseline: str | None
    prompt_hash: str
    tools_hash: str
    retriever: str
    version: str

    @property
    def hash(self) -> str:
        """Of everything above, 10 digits."""
        return short_hash(self.model_dump_json(), 10)


class Evaluation(Frozen):
    """One evaluation: a setup with a name, and what is needed to read its results without the benchmark's code.

    Attributes:
        id: under which it is shown, compared and taken up again.
        at: when it began, seconds since the epoch.
        prices: of tokens, by role, for the cost; no part of the setup.
    """

    id: str
    at: float
    setup: Setup
    metrics: tuple[Metric, ...]
    prices: dict[Role, Price] = Field(default_factory=dict)


class EpisodeResult(Frozen):
    """One task as worked on with one seed, and scored.

    Attributes:
        seed: which of the task's tries this is, from 0.
        run: its id in the run store; empty when it broke before the run began.
        status: how the run ended; `failed` when something around it broke.
        reason: why, in words.
        score: a value for each of the benchmark's metrics.
        verdicts: what was decided for the score, and by whom.
        attempts: how often it was begun.
        first_error: why the first attempt failed, when there was another one.
        calls: tool calls, those of code included.
        usage: tokens of all attempts, folds included; without the judge's.
        seconds: wall-clock time, waiting between attempts included.
        at: when it was done, seconds since the epoch.
    """

    task: str
    seed: int
    run: str
    status: Status
    reason: str
    answer: str | None
    gold: str
    tags: dict[str, str]
    score: Score
    verdicts: tuple[Verdict, ...] = ()
    attempts: int = 1
    first_error: str | None = None
    steps: int
    calls: int
    folds: int
    usage: Usage
    judge_usage: Usage = Usage()
    seconds: float
    at: float


def cost(usage: Mapping[Role, Usage], prices: Mapping[Role, Price]) -> float | None:
    """USD for the tokens of each role; None when a role that used some has no price."""
    total = 0.0
    for role, used in usage.items():
        if used.prompt_tokens + used.completion_tokens == 0:
            continue
        price = prices.get(role)
        if price is None:
            return None
        total += (used.prompt_tokens - used.cached_tokens) * price.prompt
        total += used.cached_tokens * (price.prompt if price.cached is None else price.cached)
        total += used.completion_tokens * price.completion
    return total / 1e6


def short_hash(text: str, digits: int = 16) -> str:
    """The first digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
