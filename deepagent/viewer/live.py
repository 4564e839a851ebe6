"""Following a run that is going on: what is new in the store is sent as server-sent events.

The store is asked again and again rather than told of events, since the run is mostly another process's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.responses import StreamingResponse

from deepagent.viewer.timeline import Timeline

POLL_SECONDS = 0.4
SILENCE_SECONDS = 15.0
"""After so long a comment is sent, so that a closed connection is noticed at both ends."""


@dataclass(frozen=True)
class News:
    """One message to the page."""

    event: str
    data: dict[str, Any]

    def spelled(self, sequence: int) -> bytes:
        """As it goes over the wire; `sequence` is where a broken connection is taken up again."""
        return f"id: {sequence}\nevent: {self.event}\ndata: {json.dumps(self.data)}\n\n".encode()


def follow(
    run: str,
    after: int,
    *,
    read: Callable[[str], Awaitable[Timeline | None]],
    tell: Callable[[Timeline, int], Iterable[News]],
) -> StreamingResponse:
    """A stream of what happens in a run, until it is over or the page is left.

    Args:
        run: its id.
        after: sequence of the last event that the page knows.
        read: the run as it stands now.
        tell: what is new in it since an event; `over` is the last of it.
    """

    async def stream() -> AsyncIterator[bytes]:
        known, silent = after, 0.0
        yield b": following\n\n"
        while True:
            timeline = await read(run)
            if timeline is not None and (timeline.sequence > known or silent >= SILENCE_SECONDS):
                # All of it at once: the timeline may grow while this is sent, when others look at the run too.
                news, known, silent = list(tell(timeline, known)), timeline.sequence, 0.0
                for one in news:
                    yield one.spelled(known)
                    if one.event == "over":
                        return
            await asyncio.sleep(POLL_SECONDS)
            silent += POLL_SECONDS

    return StreamingResponse(stream(), media_type="text/event-stream")
