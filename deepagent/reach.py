"""The tools that are within a run's reach: found by search or shown, and from then on called by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from deepagent.actions import Found, Observation
from deepagent.errors import UnknownToolError
from deepagent.means import Means
from deepagent.memory.archive import Archive
from deepagent.memory.recall import RECALL, recall_tool
from deepagent.retrieval import Hit
from deepagent.tools import Arguments, Tool, ToolSpec
from deepagent.transcript import BYTES_PER_TOKEN, clipped

_RECALLED_BY_CODE = 1_000_000
_ROOM_FOR_MESSAGE = 200

_SEARCH_TOOLS = ToolSpec(
    name="search_tools",
    description="Finds tools; what it finds can be called by name from the next line on. Returns their cards.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "what the tool should do"}},
        "required": ["query"],
    },
    toolset="built-in",
    effect="pure",
)


class Reach:
    """Finds tools for the model and its code, and knows which they may call.

    Args:
        means: what the run works with.
        bind: makes tools callable by code, under their names.

    Attributes:
        recall: the tool that gives the exact text of earlier steps.
        granted: the tools within reach, by name.
        found: names that the last search brought.
    """

    def __init__(self, means: Means, bind: Callable[[Sequence[ToolSpec]], Awaitable[None]]) -> None:
        self._catalogue = means.catalogue
        self._searches = means.abilities.search
        self._count = means.config.found
        self._earlier = means.earlier
        self._limit = means.result_tokens * BYTES_PER_TOKEN
        self._bind = bind
        self._archive = Archive(means.log)
        self.recall = recall_tool(self._archive, length=self._limit // 2)
        self._recall_in_code = recall_tool(self._archive, length=_RECALLED_BY_CODE)  # code can read more than a model
        self._search_tools = Tool(_SEARCH_TOOLS, self._search_from_code)  # only code needs it as a tool
        self.granted: dict[str, Tool] = {}
        self.found: tuple[str, ...] = ()
        self._searched: dict[str, list[int]] = {}

    @property
    def specs(self) -> list[ToolSpec]:
        """What the model can call by name, but for `recall`."""
        return [tool.spec for name, tool in self.granted.items() if name != RECALL]

    def close(self) -> None:
        """Close what recall reads."""
        self._archive.close()

    def restore(self, found: tuple[str, ...], searched: dict[str, list[int]]) -> None:
        """Know what the last search brought, and the steps of each query in this window."""
        self.found, self._searched = found, {query: [*steps] for query, steps in searched.items()}

    def forget_window(self) -> None:
        """What was shown in the old window is not seen any more, and may be searched for again."""
        self._searched.clear()

    def get(self, name: str) -> Tool | None:
        """The tool of a name, found or not, as it is now: it may have changed since it was granted.

        The name may be spelled as a Python identifier, as cards spell it.
        """
        if (found := self._catalogue.get(name) or self.granted.get(name)) is not None:
            return found
        return next((tool for tool in self.granted.values() if tool.spec.identifier == name), None)

    def in_code(self, name: str) -> Tool:
        """The tool that code means by a name which was bound."""
        return self._recall_in_code if name == RECALL else self.granted.get(name, self._search_tools)

    async def grant(self, tools: Sequence[Tool] = ()) -> None:
        """Bring tools into reach, also of code. Names that code already uses for these tools are left alone."""
        wanted = tools if self.granted else [self.recall, *tools]
        new = {tool.name: tool for tool in wanted if self.granted.get(tool.name) is not tool}
        if new:
            first = [] if self.granted or not self._searches else [_SEARCH_TOOLS]
            self.granted |= new
            await self._bind([*first, *(tool.spec for tool in new.values())])

    async def grant_named(self, names: Sequence[str]) -> None:
        """The same of those among these names that are still tools."""
        tools = [self._catalogue.get(name) for name in names]
        await self.grant([tool for tool in tools if tool is not None])

    async def search(self, step: int, query: str) -> Observation:
        """Find tools; the same query again in one window brings the next best ones."""
        if not self._searches:
            return Observation(text="There are no more tools to search for.", error="not_allowed")
        asked = self._searched.setdefault(query, [])
        hits = (await self._catalogue.search(query, self._count * (len(asked) + 1)))[self._count * len(asked) :]
        asked.append(step)
        if not hits:
            return Observation(text="No more tools fit. Describe differently what it should do.", error="nothing_found")
        await self._grant_hits(hits)
        if len(asked) == 1:
            return Observation(text=self._cards(hits, self._limit), found=_found(hits))
        note = f"You searched for exactly this at step {asked[-2]}; these are the next best tools."
        text = f"{self._cards(hits, self._limit - len(note))}\n({note})"
        return Observation(text=text, found=_found(hits), repeats=asked[-2])

    async def instead_of(self, name: str) -> Observation:
        """A search on an unknown name is what the model most likely needs next."""
        message = f"There is no tool named {name!r}."
        if not self._searches:
            near = self._catalogue.nearest(name)
            hint = f" There is {', '.join(near)}." if near else ""
            return Observation(text=message + hint, error=UnknownToolError.kind)
        hits = await self._catalogue.search(name, self._count)
        await self._grant_hits(hits)
        text = f"{message} These tools may fit:\n{self._cards(hits, self._limit - _ROOM_FOR_MESSAGE)}"
        return Observation(text=text, error=UnknownToolError.kind, found=_found(hits))

    async def offered(self, hits: Sequence[Hit], text: str, error: str) -> Observation:
        """A text for the model, and these tools with it."""
        await self._grant_hits(hits)
        text = f"{text}\nTools that may fit:\n{self._cards(hits, self._limit - len(text))}"
        return Observation(text=text, error=error, found=_found(hits))

    async def _search_from_code(self, arguments: Arguments) -> str:
        hits = await self._catalogue.search(arguments["query"], self._count)
        await self._grant_hits(hits)
        return self._cards(hits, self._limit) or "no tool fits; describe differently what it should do"

    async def _grant_hits(self, hits: Sequence[Hit]) -> None:
        self.found = tuple(hit.spec.name for hit in hits)
        await self.grant_named(self.found)

    def _cards(self, hits: Sequence[Hit], limit: int) -> str:
        """Tool cards within a limit in bytes, with what earlier runs say; the last ones shrink to signatures first."""
        texts = [f"{hit.spec.card}{self._told_earlier(hit.spec.name)}" for hit in hits]
        for position in reversed(range(len(texts))):
            if sum(len(text.encode()) for text in texts) <= limit:
                break
            texts[position] = hits[position].spec.signature
        return clipped("\n".join(texts), limit)

    def _told_earlier(self, name: str) -> str:
        tool = self._catalogue.get(name)
        return self._earlier.told(tool) if tool is not None else ""


def _found(hits: Sequence[Hit]) -> tuple[Found, ...]:
    return tuple(Found(name=hit.spec.name, score=hit.score, dense=hit.dense, lexical=hit.lexical) for hit in hits)
