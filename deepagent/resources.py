"""What an agent holds open while it works: models, tools, their catalogue, store and interpreters."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import platformdirs

from deepagent.catalogue import Catalogue
from deepagent.config import AgentConfig
from deepagent.errors import UsageError
from deepagent.memory.lessons import EarlierRuns
from deepagent.memory.recall import RECALL
from deepagent.models import weights
from deepagent.models.base import Model
from deepagent.models.roles import Models, Role
from deepagent.reranking import Reranker
from deepagent.retrieval.choice import open_encoder
from deepagent.runs.store import RunStore
from deepagent.sandbox import Pool
from deepagent.tools import Tool
from deepagent.toolsets.base import Host, ToolList, Toolset
from deepagent.toolsets.composition import Composition, Part
from deepagent.toolsets.functions import tool
from deepagent.toolsets.indexed import IndexedTools
from deepagent.toolsets.resolve import open_toolset

ToolSource = Tool | Toolset | Callable[..., Any] | str | Mapping[str, Any]


@dataclass(frozen=True)
class Resources:
    """All of it, entered.

    Attributes:
        narrowed: makes the catalogue of a run with a toolset of its own, or with only those of the agent's tools named.
    """

    models: Models
    catalogue: Catalogue
    store: RunStore
    pool: Pool | None
    toolsets: Sequence[Tool | Toolset]
    earlier: EarlierRuns
    narrowed: Callable[[Toolset | None, Collection[str] | None], Catalogue]


@asynccontextmanager
async def open_resources(
    models: Mapping[Role, str | Model | None],
    sources: Iterable[ToolSource],
    config: AgentConfig,
    store: RunStore | Path | None,
    indexing: Callable[[int], None],
) -> AsyncIterator[Resources]:
    """Open them for as long as the context lasts; a store that was given open stays open.

    Args:
        models: a model, or the name of one, for each role.
        sources: where tools come from.
        config: how the agent works.
        store: where runs are kept; None: the user's own.
        indexing: told the number of tools when an index has to be built.

    Raises:
        UsageError: a source cannot be opened.
        OperatorError: the main model or the store cannot.
    """
    async with AsyncExitStack() as stack:
        if not isinstance(store, RunStore):
            store = stack.enter_context(RunStore(store or default_store()))
        opened = await stack.enter_async_context(Models(models))
        host = Host(config.sandbox, opened.get)
        toolsets = [await _open_source(source, host, stack) for source in sources]
        indexed = _only_index(toolsets)
        encoder = cache(partial(open_encoder, config.encoder))  # one for all catalogues
        reranker = Reranker(partial(opened.get, "auxiliary"), config.rerank) if config.rerank else None

        def catalogue(own: Toolset | None = None, only: Collection[str] | None = None) -> Catalogue:
            composition = Composition(reserved=[RECALL])
            for toolset in toolsets if only is None else _part(toolsets, only):
                if toolset is not indexed:
                    composition.add(toolset)
            if own is not None:
                composition.add(own)
            return Catalogue(
                composition,
                encoder=encoder,
                cache=weights.cache_folder() / "indexes",
                indexing=indexing,
                reranker=reranker,
                indexed=indexed if only is None else None,
            )

        await opened.get("main")  # what is wrong with it is known before a run begins
        pool = await stack.enter_async_context(Pool(config.sandbox)) if config.execute else None
        earlier = EarlierRuns(experience_beside(store.path) if config.experience else None)
        stack.callback(earlier.close)
        yield Resources(
            models=opened,
            catalogue=catalogue(),
            store=store,
            pool=pool,
            toolsets=toolsets,
            earlier=earlier,
            narrowed=catalogue,
        )


async def _open_source(source: ToolSource, host: Host, stack: AsyncExitStack) -> Tool | Toolset:
    if isinstance(source, Tool):
        return source
    if isinstance(source, (str, Mapping)):
        source = open_toolset(source, host)
    elif not hasattr(source, "__aenter__"):
        if not callable(source):
            raise UsageError(f"{source!r} is no tool: give a Tool, a typed function, a toolset or a source's name")
        return tool(source)
    toolset: Toolset = await stack.enter_async_context(source)  # type: ignore[arg-type]
    return toolset


def _only_index(toolsets: Iterable[Tool | Toolset]) -> IndexedTools | None:
    found = [toolset for toolset in toolsets if isinstance(toolset, IndexedTools)]
    if len(found) > 1:
        raise UsageError("an agent searches one index; make one of all sources with `deepagent index build`")
    return next(iter(found), None)


def _part(toolsets: Iterable[Tool | Toolset], names: Collection[str]) -> list[Tool | Toolset]:
    """The tools of these names."""
    parts: list[Tool | Toolset] = []
    for toolset in toolsets:
        if isinstance(toolset, Tool):
            parts += [toolset] if toolset.name in names else []
        elif isinstance(toolset, IndexedTools):  # one by one: it may hold very many
            parts.append(ToolList(toolset.name, [tool for name in names if (tool := toolset.get(name)) is not None]))
        else:
            parts.append(Part(toolset, names))
    return parts


def default_store() -> Path:
    """The user's run store: `DEEPAGENT_STORE`, or a file in the user's data folder."""
    chosen = os.environ.get("DEEPAGENT_STORE")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("deepagent")) / "runs.sqlite"


def experience_beside(runs: Path) -> Path:
    """Where experience with tools is kept of runs that are kept in this file."""
    return runs.with_suffix(".experience.sqlite")
