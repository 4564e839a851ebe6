"""What one run works with: its task, model and tools, its settings and its log; and what follows from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deepagent.catalogue import Catalogue
from deepagent.config import AgentConfig
from deepagent.dialects import Abilities, Dialect, NativeDialect, TagsDialect, TextDialect
from deepagent.errors import ConfigError
from deepagent.invocation import Approve
from deepagent.memory.folder import Folder
from deepagent.memory.lessons import EarlierRuns
from deepagent.models.base import Model
from deepagent.runs.events import Sources
from deepagent.runs.log import RunLog
from deepagent.sandbox import Pool

_SHARE_OF_RESULT = 6


@dataclass(frozen=True, kw_only=True)
class Means:
    """All that a run is given; nothing in here changes while it goes on, but for what the log holds.

    Attributes:
        task: what to do.
        model: the main model, entered.
        folder: makes memory; None when folding is off.
        dialect: how actions are spelled.
        abilities: the actions that the run allows.
        catalogue: the tools that can be found.
        config: the agent's settings.
        log: the run's log.
        approve: who is asked before an unsafe tool call.
        pool: where interpreters come from; by default each is started when code is first run.
        attachments: files that code finds, content by name.
        over: whether the tools' world is through with the task; what was observed last is the answer then.
        refuse: says what is wrong with an answer; the run goes on then.
        sources: what model and tools were named by, for the log.
        earlier: experience of earlier runs.
    """

    task: str
    model: Model
    folder: Folder | None
    dialect: Dialect
    abilities: Abilities
    catalogue: Catalogue
    config: AgentConfig
    log: RunLog
    approve: Approve | None = None
    pool: Pool | None = None
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    over: Callable[[], bool] = lambda: False
    refuse: Callable[[str], str | None] = lambda answer: None
    sources: Sources = field(default_factory=Sources)
    earlier: EarlierRuns = field(default_factory=lambda: EarlierRuns(None))

    @property
    def result_tokens(self) -> int:
        """The longest observation: a small window must hold several of them."""
        return min(self.config.result_tokens, self.model.context // _SHARE_OF_RESULT)


def abilities(config: AgentConfig, tools: int) -> Abilities:
    """What a run with so many tools allows."""
    return Abilities(
        search=tools > config.cards and config.search == "asked",
        call=tools > 0 and config.call,
        execute=config.execute,
        fold=config.fold is not None and "asked" in config.fold.triggers,
        tools=tools > 0,
        packages=config.sandbox.packages,
        guidance=config.guidance,
        example=config.example,
    )


def dialect(config: AgentConfig, model: Model, allowed: Abilities) -> Dialect:
    """How actions are spelled: as functions where the model takes them, unless the settings say otherwise.

    Raises:
        ConfigError: the settings want functions, and the model takes none.
    """
    native = config.dialect == "native" or (config.dialect == "auto" and model.functions)
    if native and not model.functions:
        raise ConfigError(f"{model.name} takes no functions: set dialect to auto or tags")
    if native:
        return NativeDialect(allowed)
    return TextDialect(allowed) if config.dialect == "text" else TagsDialect(allowed)
