"""One run's log, as the process that works on the run holds it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from deepagent.runs import owners
from deepagent.runs.events import ApprovalGiven, Event, Recorded

if TYPE_CHECKING:  # the store makes logs
    from deepagent.runs.store import RunStore

FILE = "file:"
"""How the id of an artifact begins that is a file of the workspace."""
ATTACHED = "attached:"
"""The same for a file that the task came with."""
WORKSPACE = "workspace"
"""Id of the artifact that names the files of the workspace; tools keep files too, which are not there."""


class RunLog:
    """One run's log while the run is alive: appends, keeps artifacts, tells listeners.

    It holds no events itself, so that a long run takes no more memory than a short one.

    Args:
        store: where it is kept.
        id: the run's.

    Attributes:
        length: how many events there are so far.
        owner: this process, as the one that works on the run.
        elapsed: seconds that were worked on it before, times between processes not counted.
    """

    def __init__(self, store: RunStore, id: str) -> None:
        self.id = id
        self.length = 0
        self.listeners: list[Callable[[Event], None]] = []
        self.owner = owners.claim()
        self._store = store
        self.elapsed = 0.0
        self._clock = time.time() - time.monotonic()  # a clock that is set back must not turn the order around

    def append(self, *events: Event) -> None:
        """Write events, all or none, before anyone sees them."""
        at = self._clock + time.monotonic()
        self._store.append(self.id, self.length + 1, events, at=at, owner=self.owner)
        self.length += len(events)
        for event in events:
            for listener in self.listeners:
                listener(event)

    @property
    def events(self) -> list[Event]:
        """All events so far, read back from the store."""
        return [recorded.event for recorded in self.since(0)]

    def since(self, sequence: int) -> list[Recorded]:
        """The events after this one, read back from the store."""
        return self._store.events(self.id, sequence)

    async def sync(self) -> None:
        """Wait until what was appended would survive a power cut."""
        await self._store.sync()

    def keep(self, id: str, content: str | bytes) -> None:
        """Keep a text or a file as an artifact of this run."""
        self._store.keep(self.id, id, content)

    def keep_files(self, files: Mapping[str, bytes], kind: str = FILE) -> None:
        """Keep files of this run, all or none."""
        self._store.keep_files(self.id, files, kind)

    def files(self, kind: str = FILE) -> dict[str, bytes]:
        """Those files, by name."""
        return self._store.files(self.id, kind)

    def artifact(self, id: str) -> str | None:
        """The artifact's full text, or None."""
        return self._store.artifact(self.id, id)

    def decision(self, step: int, call: int) -> ApprovalGiven | None:
        """What another process decided on a tool call, or None while it waits."""
        return self._store.decisions.of(self.id, step, call)

    def beat(self) -> None:
        """Say that the run is still worked on."""
        self._store.beat(self.id, self.owner)

    def release(self) -> None:
        """Let others go on with the run. The process's own memory of it goes first: a full disk must not keep it."""
        owners.give_up(self.owner)
        self._store.release(self.id, self.owner)
