"""What holds after any sequence of actions, folds, cancellations, kills and resumes."""

import asyncio
from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent import AgentConfig, FoldConfig, Limits, tool
from deepagent.actions import Call
from deepagent.agent import Agent, Delta
from deepagent.memory.archive import Archive
from deepagent.memory.recall import recall_tool
from deepagent.runs.events import Event, Intended, Noticed, Observed, Replied, WindowOpened
from deepagent.runs.progress import Progress
from deepagent.runs.store import RunStore
from deepagent.transcript import Message, Window
from tests.faults.kills import Killed
from tests.memory.test_folder import good
from tests.support import WatchedModel, answer, assert_promises, call, calling


def told(size: int) -> str:
    """What the tool gives: long enough to be cut, to be folded, or short."""
    return f"{size}: " + f"<answer>{size}</answer> שלום \u0000 words " * size


@tool(effect="pure")
def look(size: int) -> str:
    """Looks."""
    if size % 7 == 3:
        raise ValueError(f"size {size} cannot be looked at")
    return told(size)


LOOK = st.builds(lambda size: ("look", size), st.integers(0, 150))
MOVES = st.lists(st.one_of(LOOK, LOOK, st.sampled_from([("fold", 0), ("chat", 0), ("recall", 1)])), max_size=14)
CUTS = st.lists(st.tuples(st.integers(1, 25), st.sampled_from(["cancel", "kill"])), max_size=3)
TASKS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(str.strip)


def spelled(move: tuple[str, int], native: bool) -> str | Message:
    kind, number = move
    if kind == "chat":
        return calling(("look", "no JSON")) if native else "I only talk, and then"
    name, arguments = {
        "look": ("look", {"size": number}),
        "recall": ("recall", {"id": str(number)}),
        "fold": ("fold", {}),
    }[kind]
    if native:
        return calling((name, arguments), ("look", {"size": 1})) if kind == "look" else calling((name, arguments))
    return "Too long.\n<fold_thought>" if kind == "fold" else call(name, **arguments)


class Story:
    """A run that is cut off and taken up again."""

    def __init__(self, folder: Path, task: str, moves: Iterable[tuple[str, int]], *, native: bool) -> None:
        self._path = folder / "runs.sqlite"
        self._task = task
        end = [calling(content="done") if native else answer("done")] * 60
        self._script = [*(spelled(move, native) for move in moves), *end]
        self._native = native
        self.run = ""

    async def go(self, cut: tuple[int, str] | None) -> bool:
        """Begin or go on, until the cut; whether the run has its answer."""
        with RunStore(self._path) as store:
            before = [one.event for one in store.events(self.run)] if self.run else []
            if (ended := Progress(before).ended) is not None and ended.answer is not None:
                return True
            done = sum(isinstance(event, Replied) for event in before)
            model = WatchedModel(self._script[done:], context=3000, chat_replies=good, functions=self._native)
            config = AgentConfig(
                encoder="hash",
                execute=False,
                limits=Limits(actions=60, folds=None, idle=None),
                fold=FoldConfig(stuck=3),
            )
            agent = Agent(model, [look], config=config, store=store)
            heard = 0

            def hear(item: Event | Delta) -> None:
                nonlocal heard
                heard += not isinstance(item, Delta)
                if cut is not None and heard == cut[0]:
                    if cut[1] == "kill":
                        store._database.connection.close()
                        raise Killed
                    working.cancel()

            work = agent.resume(self.run, hear=hear) if self.run else agent.run(self._task, hear=hear)
            working = asyncio.ensure_future(work)
            await _cut_off(working)
        with RunStore(self._path) as store:
            self.run = store.runs()[0].id
        return False

    @property
    def events(self) -> list[Event]:
        with RunStore(self._path) as store:
            return [one.event for one in store.events(self.run)]

    async def recalled(self, id: str) -> str:
        with RunStore(self._path) as store:
            log = store.open_run(self.run)
            archive = Archive(log)
            try:
                return str(await recall_tool(archive, length=100_000).invoke({"id": id}))
            finally:
                archive.close()
                log.release()


async def _cut_off(working: asyncio.Future[Any]) -> None:
    """Wait for the run's end, whatever it is; a kill looks like anything, since nothing can be written after it."""
    await asyncio.wait([working])
    if working.cancelled() or (error := working.exception()) is None:
        return
    chain: BaseException | None = error
    while chain is not None and not isinstance(chain, Killed):
        chain = chain.__context__
    if chain is None:
        raise error


@pytest.mark.parametrize("native", [False, True], ids=["tags", "native"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(task=TASKS, moves=MOVES, cuts=CUTS)
async def test_memory_keeps_its_promises(tmp_path_factory, native, task, moves, cuts):
    story = Story(tmp_path_factory.mktemp("story"), task, moves, native=native)
    for cut in [*cuts, None]:
        await story.go(cut)
    events = story.events
    assert_promises(events)
    windows = list(_prompts(events))
    _append_only(windows)
    for _, window in windows:
        assert task in window.text
        _whole_pairs(window)
    actions = {event.step: event.action for event in events if isinstance(event, Intended)}
    for event in events:
        action = actions.get(event.step) if isinstance(event, Observed) else None
        if isinstance(event, Observed) and isinstance(action, Call) and action.name == "look" and event.observation.ok:
            seen_at = event.observation.repeats or event.step  # where it was seen in full
            assert (await story.recalled(str(seen_at))).endswith(f"result: {told(action.arguments['size'])}")


def _prompts(events: Iterable[Event]) -> Iterable[tuple[int, Window]]:
    """Every prompt of a step, with the number of its window; not those that demand an answer."""
    progress, number, demanded = Progress(), 0, False
    for event in events:
        number += isinstance(event, WindowOpened)
        demanded = isinstance(event, Noticed) or (demanded and not isinstance(event, WindowOpened))
        if isinstance(event, Replied) and not demanded:
            yield number, progress.prompt()
        progress.take(event)


def _append_only(windows: list[tuple[int, Window]]) -> None:
    for _, group in groupby(windows, key=lambda one: one[0]):
        texts = [window.text for _, window in group]
        for one, other in pairwise(texts):
            assert other.startswith(one)


def _whole_pairs(window: Window) -> None:
    """Every function call is seen with its result, and every result with its call."""
    open_calls: list[str] = []
    for segment in window.segments:
        message = segment.message
        if message is not None and message.role == "tool":
            assert message.answers in open_calls
            open_calls.remove(str(message.answers))
        elif message is not None and message.calls:
            assert not open_calls
            open_calls = [one.id for one in message.calls]
    assert not open_calls
