"""The windows of a run: how they open, when history is folded, and what the next one holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from deepagent.budget import Budget
from deepagent.dialects import Opening
from deepagent.errors import FoldError, StuckError, TaskError
from deepagent.means import Means
from deepagent.memory.config import FoldConfig, Trigger
from deepagent.memory.folder import Folding
from deepagent.memory.ledger import telling
from deepagent.memory.merging import from_log
from deepagent.memory.recall import RECALL
from deepagent.memory.render import render_memory
from deepagent.memory.schema import Memory
from deepagent.models.base import Usage
from deepagent.performer import Performer
from deepagent.runs.events import Event, FoldBegan, Folded, WindowOpened
from deepagent.runs.progress import Progress
from deepagent.runs.steps import Steps
from deepagent.tools import Tool
from deepagent.transcript import BYTES_PER_TOKEN, Segment, Transcript, Window, clipped

MIN_REPLY = 64
"""Tokens that must be left for a reply; below, the window counts as full."""
ROOM_TO_ANSWER = 300
"""Tokens that the demand for an answer and the answer need."""
_CARDS_AFTER_FOLD = 6
_LEAD = "I need"
"""Small models guess, and read off what they guess, unless they first say what is needed."""


class Windows:
    """Opens a run's windows, and replaces one by memory and the next.

    Args:
        means: what the run works with.
        performer: knows which tools are within reach.
        budget: of the run.
        spend: told what a fold has cost.

    Attributes:
        begun: what the next reply has been made to begin with; it is the end of the open window.
    """

    def __init__(self, means: Means, performer: Performer, budget: Budget, spend: Callable[[Usage], None]) -> None:
        self._task = means.task
        self._model = means.model
        self._folder = means.folder
        self._dialect = means.dialect
        self._searches = means.abilities.search
        self._catalogue = means.catalogue
        self._config = means.config
        self._log = means.log
        self._longest_result = means.result_tokens
        self._performer = performer
        self._reach = performer.reach
        self._budget = budget
        self._spend = spend
        self._transcript = Transcript()
        self._memory: Memory | None = None
        self._steps = Steps()  # of the open window
        self._futile = 0  # folds in a row since the last step that succeeded
        self._log.listeners.append(self._steps.hear)
        self._unfoldable = 0  # tokens below which folding is not tried again
        self.begun = ""

    @property
    def open(self) -> Window:
        """The window that the model sees now."""
        return self._transcript.window

    async def open_first(self) -> None:
        """Open the first window: system prompt, tools unless they are searched for, and task.

        Raises:
            TaskError: the task is larger than the window.
            ToolDefinitionError: a tool cannot be offered under its name.
        """
        opening = await self.opening()
        prompt = await self._model.prompt(opening.messages, opening.functions)
        room = self._model.context - prompt.tokens
        if room < self._model.context // 4:
            raise TaskError(
                f"task and instructions take {prompt.tokens} of the model's {self._model.context} tokens; "
                "shorten the task, or use a model with a larger window"
            )
        doubted = self._config.doubts and len(self._catalogue) > 0
        lead = await self._model.lead(_LEAD) if doubted else None
        segments = (prompt,) if lead is None else (prompt, lead)
        self._open(Window(opening.messages, segments, opening.functions), begun=lead.text if lead else "")

    async def _tools_to_show(self) -> list[Tool]:
        """All tools, or those that fit the task best where they are too many."""
        if len(self._catalogue) <= self._config.cards:
            return list(self._catalogue)
        hits = await self._catalogue.search(self._task, self._config.found)
        found = (self._catalogue.get(hit.spec.name) for hit in hits)
        return [tool for tool in found if tool is not None]

    def restore(self, progress: Progress, events: Iterable[Event]) -> None:
        """Stand where the log says that the run stands; `opening` comes before."""
        windows = progress.windows
        self._transcript = Transcript(windows[:1], opened=len(windows) - 1)
        self._transcript.open(windows[-1])
        self._memory = Memory.model_validate(progress.memory) if progress.memory is not None else None
        self._futile, self.begun = progress.futile, progress.begun
        for event in events:
            self._steps.hear(event)
            if isinstance(event, WindowOpened):
                self._steps.clear()

    async def move(self) -> None:
        """Go on in a window of this model, with memory that the log alone makes: its tokens are not those of before.

        Raises:
            FoldError: the memory does not fit, or folding is off.
        """
        if self._folder is None:
            raise FoldError("another model needs a window of its own, and folding is off")
        opening, window = await self.opening(), self.open
        prompt = await self._model.prompt(opening.messages, opening.functions)
        first = Window(opening.messages, (prompt,), opening.functions)
        self._transcript = Transcript([first], opened=self._transcript.opened - 1)
        self._transcript.open(window)
        most = self._model.context - ROOM_TO_ANSWER
        left = self._room(most - prompt.tokens) * BYTES_PER_TOKEN
        memory = self._folder.from_log(self._task, self._steps.held, self._memory, left)
        await self._change("model", Folding(memory), most, time.monotonic())

    async def opening(self) -> Opening:
        """What every window begins with; the tools that it shows come into reach, and the dialect knows them."""
        shown = [] if self._searches else await self._tools_to_show()
        await self._reach.grant(shown)
        return self._dialect.opening(self._task, [tool.spec for tool in shown], [self._reach.recall.spec])

    def _open(self, window: Window, *before: Folded, begun: str = "") -> None:
        opened = WindowOpened(
            number=self._transcript.opened + 1,
            messages=window.messages,
            segments=window.segments,
            functions=window.functions,
            begun=begun,
        )
        self._log.append(*before, opened)
        self._transcript.open(window)
        self.begun = begun

    async def make_room(self) -> None:
        """Fold when the window is nearly full, or the run is stuck.

        Raises:
            FoldError: it is full, and cannot be folded.
        """
        config, tokens = self._config.fold, self.open.tokens
        full = tokens + MIN_REPLY > self._model.context
        due = self._due(config) if config is not None else None
        if due is not None:
            try:
                await self.fold(due)
            except StuckError:
                raise
            except FoldError:
                if full:
                    raise
                self._unfoldable = self._model.context  # what is left of the window can still be used
        elif (config is None or "window" not in config.triggers) and tokens + ROOM_TO_ANSWER > self._model.context:
            raise FoldError("the window is full and folding is off")

    def _due(self, config: FoldConfig) -> Trigger | None:
        """What calls for a fold now."""
        tokens, context = self.open.tokens, self._model.context
        if "window" in config.triggers:
            nearly = context * config.at if config.at else context - self._needs
            if tokens + MIN_REPLY > context or tokens > max(nearly, self._unfoldable):
                return "window"
        failing = self._budget.failing
        if "stuck" in config.triggers and failing and failing % config.stuck == 0 and self._steps.held:
            return "stuck"
        return None

    @property
    def _needs(self) -> int:
        """Tokens that an ordinary reply, the longest result and then the demand for an answer may take."""
        reply = min(self._config.sampling.max_tokens, self._model.context // 8)
        return reply + self._longest_result + ROOM_TO_ANSWER

    async def fold(self, reason: Trigger) -> None:
        """Replace the window by memory; nothing changes until the new one is small enough, and logged.

        Raises:
            StuckError: two folds have brought nothing.
            FoldError: folding is off or used up, or would not make the history smaller.
        """
        folder, config = self._folder, self._config.fold
        if folder is None or config is None or reason not in config.triggers:
            raise FoldError("folding is off")
        if not self._budget.may_fold:
            raise FoldError(f"the limit of {self._config.limits.folds} folds is reached")
        began, before = time.monotonic(), self.open.tokens
        prompt = self._transcript.first.segments[0]
        if prompt.tokens > before * config.shrink:
            raise FoldError("the history is still short")
        if self._futile and not self._progress:
            raise StuckError("nothing has succeeded since the last fold, nor before it: the run is stuck")
        most = int(before * config.shrink)
        self._log.append(FoldBegan(reason=reason, tokens=before))
        room = self._room(most - prompt.tokens) * BYTES_PER_TOKEN
        folding = await folder.fold(self._task, self._steps.held, self._memory, room)
        self._spend(folding.usage)
        await self._change(reason, folding, most, began)

    async def make_room_to_answer(self) -> None:
        """Where the window is too full even for an answer, go on in one whose memory the log alone makes.

        Raises:
            FoldError: not even that fits.
        """
        room = self._model.context - ROOM_TO_ANSWER
        if self.open.tokens > room and self._folder is not None:
            left = self._room(room - self._transcript.first.segments[0].tokens) * BYTES_PER_TOKEN
            memory = self._folder.from_log(self._task, self._steps.held, self._memory, left)
            await self._change("limit", Folding(memory), room, time.monotonic())

    def remembered(self) -> Memory:
        """What the log knows of the whole run, and the words of its folds."""
        return from_log(self._task, self._steps.held, self._memory, 0)

    @property
    def _progress(self) -> int:
        """Steps of the open window that succeeded."""
        return sum(telling(step) and step.observation is not None and step.observation.ok for step in self._steps.held)

    async def _change(self, reason: str, folding: Folding, most: int, began: float) -> None:
        """Open a window of at most `most` tokens with the memory."""
        first = self._transcript.first  # every window opens alike, so that its beginning stays cached
        prompt = first.segments[0]
        segment = await self._memory_segment(folding.memory, most - prompt.tokens, stuck=reason == "stuck")
        self._budget.folds += 1
        progress = self._progress
        folded = Folded(
            number=self._budget.folds,
            reason=reason,
            memory=folding.memory.model_dump(mode="json"),
            before=self.open.tokens,
            after=prompt.tokens + segment.tokens,
            progress=progress,
            usage=folding.usage,
            seconds=time.monotonic() - began,
            problems=folding.problems,
        )
        self._open(Window(first.messages, (prompt, segment), first.functions), folded)
        self._memory = folding.memory
        self._futile = 0 if progress else self._futile + 1
        self._steps.clear()
        self._unfoldable = 0
        self._performer.forget_window()

    def _room(self, left: int) -> int:
        """Tokens that memory may take where `left` are left for it."""
        return min(left, int(self._model.context * (self._config.fold.memory if self._config.fold else 1)))

    async def _memory_segment(self, memory: Memory, left: int, *, stuck: bool) -> Segment:
        """Memory and the tools at hand as the text that the new window goes on from, within `left` tokens."""
        tokens = self._room(left)
        granted = self._reach.granted
        names = dict.fromkeys([*memory.tools[-_CARDS_AFTER_FOLD:], *self._reach.found])
        at_hand = [granted[name] for name in names if name in granted and name != RECALL]
        cards = "\n".join(tool.spec.card for tool in at_hand if self._searches)
        for share in (1.0, 0.7, 0.45, 0.25):
            limit = int(tokens * BYTES_PER_TOKEN * share)
            shown = clipped(cards, limit // 2)
            head = f"Tools found so far:\n{shown}\n" if shown else ""
            end = "The last steps led nowhere. Go on in another way." if stuck else "Go on from here."
            text = f"Work done so far:\n{render_memory(memory, limit - len(head.encode()))}\n{head}{end}"
            segment = await self._model.observation(self._dialect.memory(text))
            if segment.tokens <= tokens:
                return segment
        raise FoldError("the memory does not fit the window")
