"""Timelines from the store, kept and grown rather than read anew."""

from __future__ import annotations

from collections import OrderedDict

from deepagent.errors import UsageError
from deepagent.runs.store import RunStore
from deepagent.viewer.timeline import Timeline


class Reader:
    """Reads runs for the page.

    Args:
        store: where they are kept; other processes may write to it meanwhile.
        keep: how many timelines stay in memory.
    """

    def __init__(self, store: RunStore, keep: int = 4) -> None:
        self.store = store
        self._keep = keep
        self._timelines: OrderedDict[str, Timeline] = OrderedDict()

    def timeline(self, run: str) -> Timeline | None:
        """The run as it stands in the store now, or None where there is none."""
        timeline = self._timelines.pop(run, None) or Timeline(run)
        try:
            for recorded in self.store.events(run, after=timeline.sequence):
                timeline.add(recorded)
        except UsageError:
            return None
        if timeline.started is None:
            return None
        self._timelines[run] = timeline
        while len(self._timelines) > self._keep:
            self._timelines.popitem(last=False)
        return timeline
