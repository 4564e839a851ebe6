"""A run that is killed at a given event, in this process: what the log has then is all that is left of it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from deepagent.agent import Agent, Delta
from deepagent.config import AgentConfig
from deepagent.runs.events import Event, Folded, Intended, Observed, Performed, Replied, Resumed, ToolReturned
from deepagent.runs.store import RunStore
from deepagent.transcript import Message
from tests.support import HASHED, WatchedModel, assert_promises

Make = Callable[[int], WatchedModel]
"""Makes a model that goes on after so many replies."""


class Killed(BaseException):
    """Stands for SIGKILL: nobody may handle it, and nothing can be written after it."""


def scripted(replies: Sequence[str | Message], **options: Any) -> Make:
    return lambda done: WatchedModel(replies[done:], **options)


async def killed_at(
    number: int, folder: Path, make: Make, tools: Iterable[Any] = (), config: AgentConfig = HASHED
) -> str | None:
    """Run until the event of this number is on disk, and die there; the run's id, or None when it ended before."""
    store = RunStore(folder / "runs.sqlite")
    heard: list[Event] = []

    def hear(item: Event | Delta) -> None:
        if isinstance(item, Delta):
            return
        heard.append(item)
        if len(heard) == number:
            store._database.connection.close()
            raise Killed

    try:
        await Agent(make(0), tools, config=config, store=store).run("Do it.", hear=hear)
    except BaseException as error:
        chain: BaseException | None = error
        while chain is not None and not isinstance(chain, Killed):
            chain = chain.__context__
        if chain is None:
            raise
        with RunStore(folder / "runs.sqlite") as opened:
            return opened.runs()[0].id
    store.close()
    return None


async def resumed(
    run: str, folder: Path, make: Make, tools: Iterable[Any] = (), config: AgentConfig = HASHED
) -> list[Event]:
    """Go on with the run to its end, check the promises, and return its whole log."""
    with RunStore(folder / "runs.sqlite") as store:
        before = [one.event for one in store.events(run)]
        replies = sum(isinstance(event, Replied) for event in before)
        model = make(replies)
        await Agent(model, tools, config=config, store=store).resume(run)
        events = [one.event for one in store.events(run)]
    assert_promises(events)
    return events


def essence(events: Iterable[Event]) -> list[Any]:
    """What two logs of one story have in common: no times, no trace of an interruption."""
    told: list[Any] = []
    for event in events:
        if isinstance(event, (Resumed, Performed)) or event.kind in ("fold_began", "started", "ended"):
            continue
        data = event.model_dump(exclude={"seconds": True, "generated": {"seconds", "usage"}})
        if isinstance(event, Folded):
            data.pop("usage")
        if isinstance(event, ToolReturned) and event.error == "interrupted":
            continue
        if data not in told or isinstance(event, (Replied, Intended, Observed)):
            told.append(data)
    return told
