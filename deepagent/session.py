"""One run of the reasoning loop.

Everything is in the log before it takes effect, and nothing but `OperatorError` and the user's own interruption ends a
run without an answer or a stated limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from deepagent.actions import Answer, Fold, Malformed, Observation, Search
from deepagent.budget import Budget
from deepagent.catalogue import Catalogue
from deepagent.config import AgentConfig
from deepagent.dialects import Abilities, Dialect, Parsed
from deepagent.errors import ContextOverflowError, FoldError, OperatorError, TaskError
from deepagent.memory.folder import Folding, MemoryFolder, from_log
from deepagent.memory.recall import RECALL
from deepagent.memory.render import render_memory
from deepagent.memory.schema import Memory
from deepagent.models.base import Generated, Model, Usage
from deepagent.performer import Performer
from deepagent.runs.events import (
    Ended,
    FoldBegan,
    Folded,
    Intended,
    Noticed,
    Observed,
    Replied,
    Started,
    Status,
    WindowOpened,
)
from deepagent.runs.steps import steps
from deepagent.runs.store import RunLog
from deepagent.transcript import BYTES_PER_TOKEN, Message, Segment, Transcript, Window, clipped

_MIN_REPLY = 64
"""Tokens that must be left for a reply; below, the window counts as full."""
_MAX_CONTINUATIONS = 4
_AGAINST_REPETITION = 0.4
_CARDS_AFTER_FOLD = 6
_ROOM_TO_ANSWER = 300
"""Tokens that the demand for an answer and the answer need."""
_GRACE_SECONDS = 120
"""Time for the answer that is asked for at a limit."""


class Session:
    """The state of one run, and the loop.

    Args:
        task: what to do.
        model: the main model, entered.
        folder: makes memory; None when folding is off.
        dialect: how actions are spelled.
        abilities: the actions that the run allows.
        catalogue: the tools that can be found.
        config: the agent's settings.
        log: the run's log, empty.
        on_text: receives the model's text as it is written.
    """

    def __init__(
        self,
        task: str,
        *,
        model: Model,
        folder: MemoryFolder | None,
        dialect: Dialect,
        abilities: Abilities,
        catalogue: Catalogue,
        config: AgentConfig,
        log: RunLog,
        on_text: Callable[[str], None],
    ) -> None:
        self._task = task
        self._model = model
        self._folder = folder
        self._dialect = dialect
        self._abilities = abilities
        self._catalogue = catalogue
        self._config = config
        self._log = log
        self._on_text = on_text
        self._budget = Budget(config.limits)
        self._performer = Performer(catalogue, abilities, config, log, min(config.result_tokens, model.context // 6))
        self._transcript = Transcript()
        self._memory: Memory | None = None
        self._folded_steps = 0
        self._usage = Usage()
        self._answer: str | None = None
        self._unfoldable = 0  # tokens below which folding is not tried again
        self._begun = ""  # what the next reply has been made to begin with
        self._seen = False  # whether any action has brought more than tools

    async def run(self, benchmark: str | None = None) -> Ended:
        """Work on the task until an answer, a limit, an interruption or a broken model.

        Raises:
            TaskError: the task is larger than the window.
            OperatorError: the run could not go on; it is logged as failed.
        """
        self._log.append(
            Started(
                run=self._log.id,
                task=self._task,
                model=self._model.name,
                context=self._model.context,
                settings=self._config.model_dump(mode="json"),
                benchmark=benchmark,
            )
        )
        try:
            return await self._loop()
        except (OperatorError, TaskError) as error:
            self._end("failed", str(error))
            raise
        except asyncio.CancelledError:
            self._end("interrupted", "interrupted")
            raise
        finally:
            await self._performer.close()

    async def _loop(self) -> Ended:
        await self._open_first_window()
        while True:
            limit = self._budget.exhausted()
            if limit is not None:
                return await self._force(limit)
            time_limit = asyncio.timeout(self._budget.seconds_left)
            try:
                async with time_limit:
                    await self._turn()
            except TimeoutError:
                if not time_limit.expired():
                    raise
                continue  # the next turn of the loop says so
            except FoldError as error:
                return await self._force(str(error))
            if self._answer is not None:
                return self._end("answered", "the model answered")

    async def _turn(self) -> None:
        """One step, with room made for it; when the server finds the prompt too long after all, a fold instead."""
        await self._make_room()
        try:
            await self._step()
        except ContextOverflowError:
            await self._fold("window")

    async def _step(self) -> None:
        self._budget.actions += 1
        step = self._budget.actions
        parsed, reply = await self._think(step)
        self._log.append(Intended(step=step, thought=parsed.thought, action=parsed.action))
        if isinstance(parsed.action, Answer):
            self._answer = parsed.action.text
        elif isinstance(parsed.action, Fold):
            await self._fold_as_asked(step, parsed, reply)
        else:
            began = time.monotonic()
            observation = await self._performer.perform(step, parsed.action)
            idle = observation.repeats is not None or observation.error == "malformed"
            self._budget.idle = self._budget.idle + 1 if idle else 0
            await self._observe(step, parsed, reply, observation, time.monotonic() - began)

    async def _think(self, step: int) -> tuple[Parsed, list[Segment]]:
        """Generate until the dialect can read an action, or give up as malformed; also returns what was written."""
        reply: list[Segment] = []
        text = begun = self._begun
        self._begun = ""
        watch = self._dialect.watch()
        watch(text)

        def heard(delta: str) -> bool:
            self._on_text(delta)
            return watch(delta)

        for _ in range(_MAX_CONTINUATIONS):
            generated = await self._generate(reply, heard)
            self._log.append(Replied(step=step, generated=generated))
            reply.append(generated.segment)
            text += generated.segment.text
            # A reply that is whole by itself started anew instead of going on from what it was made to begin with.
            anew = self._dialect.parse(text.removeprefix(begun), generated.finish) if begun else None
            whole = anew is not None and anew.action.kind != "malformed"
            parsed = anew if whole else self._dialect.parse(text, generated.finish)
            if parsed is not None:
                return parsed, reply
        return self._dialect.parse(text, "length") or Parsed(text, Malformed(problem="the reply does not end")), reply

    async def _generate(self, reply: Sequence[Segment], watch: Callable[[str], bool]) -> Generated:
        """One request that continues the window and what was written in this step so far."""
        sampling = self._config.sampling
        if self._budget.idle and sampling.temperature == 0:
            # Without randomness a model that repeats itself does so for ever.
            warmer = min(0.8, _AGAINST_REPETITION * self._budget.idle)
            sampling = sampling.model_copy(update={"temperature": warmer, "seed": self._budget.actions})
        window = Window(self._window.messages, [*self._window.segments, *reply])
        generated = await self._model.generate(window, sampling, stop=self._dialect.stops, watch=watch)
        self._spend(generated.usage)
        return generated

    async def _observe(
        self, step: int, parsed: Parsed, reply: Sequence[Segment], observation: Observation, seconds: float
    ) -> None:
        """Log and append what came of the action.

        A reply that invented a result or repeated an earlier step is left out of the stream: a model copies what it
        sees, most of all its own mistakes.
        """
        repeated = observation.repeats is not None
        dropped = parsed.discard or repeated
        begun = parsed.resume
        if repeated:
            begun = self._dialect.push(parsed.action)
        elif observation.error == "malformed" and not dropped and self._budget.idle > 1 and self._seen:
            begun = self._dialect.answer_start  # it talks about what it has seen, and does not act any more
        begun = begun if self._model.continues else ""
        self._seen = self._seen or (observation.ok and not isinstance(parsed.action, Search))
        segment = await self._model.observation(
            self._dialect.render(parsed.action, observation.text),
            before="" if dropped else parsed.restore,
            after=begun,
        )
        self._log.append(
            Observed(step=step, observation=observation, segment=segment, seconds=seconds, dropped=dropped)
        )
        for piece in [] if dropped else reply:
            self._window.append(piece)
        self._window.append(segment)
        self._begun = begun

    @property
    def _window(self) -> Window:
        return self._transcript.window

    async def _open_first_window(self) -> None:
        messages, prompt = await self._opening()
        room = self._model.context - prompt.tokens
        if room < self._model.context // 4:
            raise TaskError(
                f"task and instructions take {prompt.tokens} of the model's {self._model.context} tokens; "
                "shorten the task, or use a model with a larger window"
            )
        self._log.append(WindowOpened(number=1, messages=messages, segments=(prompt,)))
        self._transcript.windows.append(Window(messages, (prompt,)))

    async def _opening(self) -> tuple[tuple[Message, ...], Segment]:
        """System prompt, tools unless they are searched for, and task."""
        shown = [] if self._abilities.search else self._catalogue.tools
        await self._performer.grant(shown)
        # Tool descriptions may come from elsewhere: they must not open or close chat turns.
        cards = "\n".join(tool.spec.card for tool in shown).replace("<|", "< |")
        tools = f"Tools:\n{cards}\n\n" if cards else ""
        messages = (
            Message(role="system", content=self._dialect.instructions()),
            *self._dialect.example(),
            Message(role="user", content=f"{tools}Task: {self._task}"),
        )
        return messages, await self._model.prompt(messages)

    async def _make_room(self) -> None:
        """Fold when the window is nearly full."""
        window = self._window.tokens
        full = window + _MIN_REPLY > self._model.context
        if self._config.fold is None:
            if window + _ROOM_TO_ANSWER > self._model.context:
                raise FoldError("the window is full and folding is off")
        elif full or window > max(self._model.context * self._config.fold.at, self._unfoldable):
            try:
                await self._fold("window")
            except FoldError:
                if full:
                    raise
                self._unfoldable = self._model.context  # what is left of the window can still be used

    async def _fold_as_asked(self, step: int, parsed: Parsed, reply: Sequence[Segment]) -> None:
        try:
            await self._fold("asked")
        except FoldError as error:
            declined = Observation(text=f"Not folded: {error}. Go on.", error="fold")
            self._budget.idle += 1
            await self._observe(step, parsed, reply, declined, 0.0)

    async def _fold(self, reason: str) -> None:
        """Replace the window by memory; nothing changes until the new one is small enough, and logged."""
        folder, config = self._folder, self._config.fold
        if folder is None or config is None:
            raise FoldError("folding is off")
        if not self._budget.may_fold:
            raise FoldError(f"the limit of {self._config.limits.folds} folds is reached")
        began, before = time.monotonic(), self._window.tokens
        prompt = self._transcript.windows[0].segments[0]
        if prompt.tokens > before * config.shrink:
            raise FoldError("the history is still short")
        self._log.append(FoldBegan(reason=reason, tokens=before))
        done = steps(self._log.events)
        folding = await folder.fold(self._task, done, self._folded_steps, self._memory)
        self._spend(folding.usage)
        await self._change_window(reason, folding, len(done), int(before * config.shrink), began)

    async def _change_window(self, reason: str, folding: Folding, covered: int, most: int, began: float) -> None:
        """Open a window of at most `most` tokens with the memory; `covered` steps are in it."""
        first = self._transcript.windows[0]  # every window opens alike, so that its beginning stays cached
        messages, prompt = first.messages, first.segments[0]
        segment = await self._memory_segment(folding.memory, most - prompt.tokens)
        self._budget.folds += 1
        self._log.append(
            Folded(
                number=self._budget.folds,
                reason=reason,
                memory=folding.memory.model_dump(mode="json"),
                before=self._window.tokens,
                after=prompt.tokens + segment.tokens,
                usage=folding.usage,
                seconds=time.monotonic() - began,
                problems=folding.problems,
            ),
            WindowOpened(number=len(self._transcript.windows) + 1, messages=messages, segments=(prompt, segment)),
        )
        self._memory, self._folded_steps = folding.memory, covered
        self._begun, self._unfoldable = "", 0
        self._performer.forget_window()
        self._transcript.windows.append(Window(messages, (prompt, segment)))

    async def _memory_segment(self, memory: Memory, room: int) -> Segment:
        """Memory and the tools at hand as the text that the new window goes on from, within `room` tokens."""
        tokens = min(room, int(self._model.context * (self._config.fold.memory if self._config.fold else 1)))
        used = [record.tool_name for record in memory.tool.tools_used]
        granted = self._performer.granted
        names = dict.fromkeys([*used[-_CARDS_AFTER_FOLD:], *self._performer.found])
        at_hand = [granted[name] for name in names if name in granted and name != RECALL]
        cards = "\n".join(tool.spec.card for tool in at_hand if self._abilities.search)
        for share in (1.0, 0.7, 0.45, 0.25):
            limit = int(tokens * BYTES_PER_TOKEN * share)
            shown = clipped(cards, limit // 2)
            head = f"Tools found so far:\n{shown}\n" if shown else ""
            text = f"Work done so far:\n{render_memory(memory, limit - len(head))}\n{head}Go on from here."
            segment = await self._model.observation(self._dialect.memory(text))
            if segment.tokens <= tokens:
                return segment
        raise FoldError("the memory does not fit the window")

    async def _force(self, reason: str) -> Ended:
        """At a limit: one last reply, which is the answer."""
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                generated = await self._last_words(reason)
        except (ContextOverflowError, FoldError, TimeoutError):
            return self._end("limit", reason)
        self._spend(generated.usage)
        self._log.append(Replied(step=self._budget.actions + 1, generated=generated))
        cut = generated.finish == "length"
        self._answer = None if cut else self._dialect.demanded(generated.segment.text)
        return self._end("forced" if self._answer else "limit", reason)

    async def _last_words(self, reason: str) -> Generated:
        """Ask for the answer; in a window that is too full for it, from memory that the log alone makes."""
        room = self._model.context - _ROOM_TO_ANSWER
        if self._window.tokens > room and self._config.fold is not None:
            done = steps(self._log.events)
            folding = Folding(from_log(self._task, done, self._memory), Usage(), ())
            await self._change_window("limit", folding, len(done), room, time.monotonic())
        sentence = reason[0].upper() + reason[1:]
        begun = self._dialect.answer_start if self._model.continues else ""
        segment = await self._model.observation(self._dialect.demand_answer(sentence), after=begun)
        self._log.append(Noticed(text=sentence, segment=segment))
        self._window.append(segment)
        return await self._model.generate(
            self._window, self._config.sampling, stop=self._dialect.stops, watch=self._overhear
        )

    def _overhear(self, delta: str) -> bool:
        self._on_text(delta)
        return False

    def _spend(self, usage: Usage) -> None:
        self._usage += usage
        self._budget.tokens += usage.computed

    def _end(self, status: Status, reason: str) -> Ended:
        ended = Ended(
            status=status,
            answer=self._answer if status in ("answered", "forced") else None,
            reason=reason,
            usage=self._usage,
            steps=self._budget.actions,
            folds=self._budget.folds,
            seconds=self._budget.seconds,
        )
        self._log.append(ended)
        return ended
