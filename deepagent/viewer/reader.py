"""Timelines from the store, kept and grown rather than read anew."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from deepagent.errors import UsageError
from deepagent.runs.events import Recorded
from deepagent.runs.store import RunStore
from deepagent.viewer.timeline import Timeline

_AT_ONCE = 200
"""Events that are added before others have their turn."""


@dataclass
class _Held:
    """A timeline, and who is reading more of it."""

    timeline: Timeline
    growing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Reader:
    """Reads runs for the page.

    Args:
        store: where they are kept; other processes may write to it meanwhile.
        keep: how many timelines stay in memory.
    """

    def __init__(self, store: RunStore, keep: int = 4) -> None:
        self.store = store
        self._keep = keep
        self._held: OrderedDict[str, _Held] = OrderedDict()

    async def timeline(self, run: str) -> Timeline | None:
        """The run as it stands in the store now, or None where there is none.

        Many events take a while to read, so that is done in a thread. Only the event loop changes a timeline.
        """
        try:
            if not self.store.length(run):
                return None
        except UsageError:
            return None
        held = self._held.setdefault(run, _Held(Timeline(run)))
        self._held.move_to_end(run)
        while len(self._held) > self._keep:
            self._held.popitem(last=False)
        timeline = held.timeline
        async with held.growing:
            if self.store.length(run) > timeline.sequence:
                for recorded in await asyncio.to_thread(self._since, run, timeline.sequence):
                    timeline.add(recorded)
                    if not recorded.sequence % _AT_ONCE:
                        await asyncio.sleep(0)
        return timeline if timeline.started is not None else None

    def _since(self, run: str, sequence: int) -> list[Recorded]:
        """The events of a run after this one, by a connection of the thread's own."""
        with RunStore(self.store.path) as store:
            return store.events(run, after=sequence)
