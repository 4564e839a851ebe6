"""One run of the reasoning loop.

Everything is in the log before it takes effect, and nothing but `OperatorError` and the user's own interruption ends a
run without an answer or a stated limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from deepagent.actions import UNTRIED, Action, Answer, Fold, Malformed, Observation, Search
from deepagent.budget import Budget
from deepagent.catalogue import Catalogue
from deepagent.config import AgentConfig
from deepagent.dialects import Abilities, Dialect, Parsed
from deepagent.doubts import Doubts
from deepagent.errors import ContextOverflowError, FoldError, OperatorError, StuckError, UsageError
from deepagent.grammar import Grammar
from deepagent.invocation import Approve
from deepagent.memory.folder import Folder
from deepagent.memory.lessons import EarlierRuns
from deepagent.memory.recall import RECALL
from deepagent.models.base import Generated, Listen, Model, Usage, Watch
from deepagent.models.failures import RefusedError
from deepagent.performer import Performer
from deepagent.runs.events import Ended, Event, Intended, Noticed, Observed, Replied, Resumed, Sources, Started, Status
from deepagent.runs.log import RunLog
from deepagent.runs.owners import BEAT_SECONDS
from deepagent.runs.progress import LooseEnd, Pending, Progress
from deepagent.runs.steps import steps
from deepagent.sandbox import Pool
from deepagent.transcript import Segment, clipped
from deepagent.windows import Windows

_MAX_CONTINUATIONS = 4
_AGAINST_REPETITION = 0.4
_LEAST_SHOWN = 300
"""Bytes of a result that are shown where the server takes no more."""
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
        on_restart: told that a reply broke off, and is written anew from its beginning.
        approve: who is asked before an unsafe tool call.
        pool: where interpreters come from.
        attachments: files that code finds, content by name.
        over: whether the tools' world is through with the task.
        refuse: says what is wrong with an answer; the run goes on then.
        sources: what model and tools were named by, for the log.
        earlier: experience of earlier runs.
    """

    def __init__(
        self,
        task: str,
        *,
        model: Model,
        folder: Folder | None,
        dialect: Dialect,
        abilities: Abilities,
        catalogue: Catalogue,
        config: AgentConfig,
        log: RunLog,
        on_text: Callable[[str], None],
        on_restart: Callable[[], None] = lambda: None,
        approve: Approve | None = None,
        pool: Pool | None = None,
        attachments: Mapping[str, bytes] | None = None,
        over: Callable[[], bool] = lambda: False,
        refuse: Callable[[str], str | None] = lambda answer: None,
        sources: Sources | None = None,
        earlier: EarlierRuns | None = None,
    ) -> None:
        self._task = task
        self._sources = sources or Sources()
        self._earlier = earlier or EarlierRuns(None)
        self._catalogue = catalogue
        self._model = model
        self._dialect = dialect
        self._config = config
        self._log = log
        self._on_text = on_text
        self._on_restart = on_restart
        self._budget = Budget(config.limits)
        find = partial(catalogue.search, k=config.found) if abilities.search else None
        shown = [] if abilities.search else [tool.spec for tool in catalogue.tools]
        self._doubts = Doubts(task, tools=len(catalogue) > 0, code=config.execute, shown=shown, find=find)
        log.listeners.append(self._doubts.hear)
        self._performer = Performer(
            catalogue,
            self._doubts,
            abilities,
            config,
            log,
            min(config.result_tokens, model.context // 6),
            approve=approve,
            pool=pool,
            attachments=attachments,
            over=over,
            refuse=refuse,
            told=self._earlier.told,
        )
        self._windows = Windows(
            task,
            model=model,
            folder=folder,
            dialect=dialect,
            abilities=abilities,
            catalogue=catalogue,
            performer=self._performer,
            config=config,
            budget=self._budget,
            log=log,
            spend=self._spend,
        )
        self._usage = Usage()
        self._answer: str | None = None
        self._pending: Pending | None = None  # a reply that was left in the middle of something
        self._unlogged: list[Event] = []
        self._stopping = False
        self._begun = False  # until then the log stays as it is, whatever fails
        self._seen = False  # whether any action has brought more than tools
        self._loose = LooseEnd()
        self._grammar: tuple[int, Grammar | None] = (0, None)  # for so many tools within reach

    def stop(self) -> None:
        """End the run as interrupted once the step that is under way is done."""
        self._stopping = True

    async def run(self, benchmark: str | None = None) -> Ended:
        """Work on the task until an answer, a limit, an interruption or a broken model.

        Raises:
            UsageError: the task is larger than the window, a tool cannot be offered, or the sandbox cannot be as its
                settings say; it is logged as failed.
            OperatorError: the run could not go on; it is logged as failed.
        """
        started = Started(
            run=self._log.id,
            task=self._task,
            model=self._model.name,
            context=self._model.context,
            settings=self._config.model_dump(mode="json"),
            benchmark=benchmark,
            sources=self._sources,
        )

        async def begin() -> None:
            self._log.append(started)
            self._begun = True
            await self._windows.open_first()

        return await self._to_the_end(begin)

    async def resume(self, events: Sequence[Event]) -> Ended:
        """Go on where the log ends, whose events are given; raises as `run` does.

        What the model wrote is not asked for again, and what tools did is not done again. An action without outcome is
        done again where that does no harm; else the model is told that nobody knows.
        """
        return await self._to_the_end(partial(self._restore, events))

    async def _to_the_end(self, begin: Callable[[], Awaitable[None]]) -> Ended:
        beating = asyncio.create_task(self._beat())
        try:
            await begin()
            ended = await self._loop()
            self._earlier.learn(self._log.id, self._windows.remembered, self._catalogue.get)
            return ended
        except (OperatorError, UsageError) as error:
            if self._begun:
                self._end("failed", str(error))
            raise
        except asyncio.CancelledError:
            approvals = self._performer.approvals
            waiting = approvals is not None and approvals.waiting
            if self._begun:
                self._end(*(("waiting", "a call waits for approval") if waiting else ("interrupted", "interrupted")))
            raise
        finally:
            beating.cancel()
            try:
                await self._performer.close()
            finally:
                self._log.release()

    async def _restore(self, events: Sequence[Event]) -> None:
        progress = Progress(events)
        for event in events:
            self._doubts.hear(event)
        same = progress.model == self._model.name
        await self._windows.opening()
        rebuilt = await self._performer.restore(progress, steps(events))
        resumed = Resumed(
            model=self._model.name,
            context=self._model.context,
            settings=self._config.model_dump(mode="json"),
            rebuilt=tuple(rebuilt.steps),
            diverged=tuple(rebuilt.diverged),
        )
        self._log.append(resumed)
        progress.take(resumed)
        self._usage, self._seen, self._answer = progress.usage, progress.seen, progress.answer
        self._loose = progress.loose
        self._budget.restore(
            actions=progress.actions,
            folds=progress.folds,
            tokens=progress.usage.computed,
            idle=progress.idle,
            failing=progress.failing,
            seconds=self._log.elapsed,
        )
        self._begun = True
        if not progress.windows:
            await self._windows.open_first()
        else:
            self._windows.restore(progress, events)
            if same:
                self._pending = progress.pending
            else:
                await self._change_models(progress.pending)

    async def _change_models(self, reply: Pending | None) -> None:
        """Go on with a model that cannot read the window of the one before: in a new window, with memory."""
        for step, action in (reply.intended if reply else {}).items():
            if isinstance(action, Answer):
                self._answer = action.text
            elif reply is not None and step not in reply.observed:
                not_done = Observation(text="Not done: the run went on with another model.", error="interrupted")
                observation = self._performer.settled(step, action) or not_done
                known, seconds = reply.performed.get(step, (observation, 0.0))
                await self._observe(reply, Parsed("", action), step, known, seconds)
        await self._windows.move()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._log.beat()

    async def _loop(self) -> Ended:
        while True:
            if self._answer is not None:
                return self._end("answered", "the model answered")
            if self._stopping:
                return self._end("interrupted", f"stopped after step {self._budget.actions}, as asked")
            limit = self._budget.exhausted()
            if limit is not None and self._pending is None:
                return await self._force(limit, "limit")
            time_limit = asyncio.timeout(self._budget.seconds_left)
            try:
                async with time_limit:
                    await (self._step() if self._pending is None else self._pick_up(self._pending))
            except TimeoutError:
                if not time_limit.expired():
                    raise
                continue  # the next turn of the loop says so
            except (FoldError, ContextOverflowError) as error:
                return await self._force(str(error), "stuck" if isinstance(error, StuckError) else "truncated")

    async def _step(self) -> None:
        """Think, then do what the reply asks for: one action, or several function calls, each a step of its own.

        A prompt that the server finds too long is folded, and sent once more.
        """
        await self._windows.make_room()
        self._budget.actions += 1
        reply = Pending(self._budget.actions)
        try:
            parsed = await self._think(reply)
        except ContextOverflowError:
            await self._windows.fold("window")
            reply = Pending(self._budget.actions)
            parsed = await self._think(reply)
        await self._do(reply, parsed)

    async def _pick_up(self, reply: Pending) -> None:
        """Deal with a reply that was left in the middle of something: what is in the log of it is not done again."""
        self._pending = None
        self._budget.actions = max(self._budget.actions, reply.first)
        parsed = await self._think(reply, logged=len(reply.parts))
        for step, action in reply.intended.items():
            unknown = self._performer.settled(step, action)
            if unknown is not None and step not in reply.observed:
                reply.performed.setdefault(step, (unknown, 0.0))
        await self._do(reply, parsed)

    async def _do(self, reply: Pending, parsed: Parsed) -> None:
        """Log what a reply asks for, unless the log has it, and do it."""
        if not reply.intended:
            reply.intended = dict(enumerate(parsed.actions, start=reply.first))
            self._budget.actions = max(reply.intended)
            thoughts = [parsed.thought, *[""] * len(parsed.further)]
            self._log.append(
                *self._unlogged,
                *(
                    Intended(step=step, thought=thought, action=action)
                    for thought, (step, action) in zip(thoughts, reply.intended.items(), strict=True)
                ),
            )
        if isinstance(parsed.action, Answer):
            if (refused := await self._performer.refused(parsed.action.text)) is None:
                self._answer = parsed.action.text
            else:
                await self._observe(reply, parsed, reply.first, refused, 0.0)
        elif isinstance(parsed.action, Fold) and len(reply.intended) == 1:
            await self._fold_as_asked(reply, parsed)
        else:
            await self._act(reply, parsed)

    async def _act(self, reply: Pending, parsed: Parsed) -> None:
        limit = self._config.limits.actions
        done = reply.performed
        allowed = [
            (step, action)
            for step, action in reply.intended.items()
            if (limit is None or step <= limit) and step not in done and step not in reply.observed
        ]
        otherwise = Observation(text="Interrupted: whether it was done is not known.", error="interrupted")
        try:
            await self._performer.perform_all(allowed, done)
            otherwise = Observation(text=f"Not done: the limit of {limit} actions is reached.", error="limit")
        finally:  # what was done before an interruption has an outcome too, and every call of a reply an answer
            if done:
                if not reply.observed:  # else it is counted already
                    in_vain = all(seen.repeats is not None or seen.error == "malformed" for seen, _ in done.values())
                    self._budget.idle = self._budget.idle + 1 if in_vain else 0
                    worked = not in_vain and any(seen.ok for seen, _ in done.values())
                    self._budget.failing = 0 if worked else self._budget.failing + 1
                for step in reply.intended:
                    if step not in reply.observed:
                        await self._observe(reply, parsed, step, *done.get(step, (otherwise, 0.0)))
                answers = (seen.answer for seen, _ in done.values() if seen.answer is not None)
                self._answer = next(answers, self._answer)

    async def _think(self, reply: Pending, *, logged: int = 0) -> Parsed:
        """Generate until the dialect can read an action, or give up as malformed.

        The last part of a reply is logged together with what it means.

        Args:
            reply: what was written so far; receives the rest.
            logged: how many of its parts are in the log.
        """
        begun, self._windows.begun = self._windows.begun, ""
        self._unlogged = []
        for number in range(max(_MAX_CONTINUATIONS, logged)):
            if number >= len(reply.parts):
                self._log_all()
                reply.parts.append(await self._generate(reply.segments, begun + _text(reply.parts)))
            if number >= logged:
                self._unlogged.append(Replied(step=reply.first, generated=reply.parts[number]))
            parsed = self._read(begun, reply.parts[: number + 1])
            if parsed is not None:
                return parsed
        text = begun + _text(reply.parts)
        return self._dialect.parse(text, "length") or Parsed(text, Malformed(problem="the reply does not end"))

    def _log_all(self) -> None:
        if self._unlogged:
            self._log.append(*self._unlogged)
            self._unlogged = []

    def _read(self, begun: str, parts: Sequence[Generated]) -> Parsed | None:
        """The step in a reply that was made to begin with `begun`; None: it goes on."""
        text, last = _text(parts), parts[-1]
        # A reply that is whole by itself started anew instead of going on from what it was made to begin with.
        anew = self._dialect.parse(text, last.finish) if begun else None
        if anew is not None and anew.action.kind != "malformed" and not anew.bare:
            return anew
        return self._dialect.parse(begun + text, last.finish, last.segment.message)

    async def _generate(self, reply: Sequence[Segment], text: str) -> Generated:
        """One request that continues the window and what was written in this step so far, which is `text`."""
        sampling = self._config.sampling
        if self._budget.idle and sampling.temperature == 0:
            # Without randomness a model that repeats itself does so for ever.
            warmer = min(0.8, _AGAINST_REPETITION * self._budget.idle)
            sampling = sampling.model_copy(update={"temperature": warmer, "seed": self._budget.actions})
        window = self._windows.open.extended(reply)
        # A grammar knows only replies from their beginning.
        grammar = self._held() if self._config.grammar and not text else None
        stop, listen = self._dialect.stops, self._listen(text)
        generated = await self._model.generate(window, sampling, stop=stop, listen=listen, grammar=grammar)
        self._spend(generated.usage)
        return generated

    def _held(self) -> Grammar | None:
        """The grammar for the tools that are within reach now."""
        tools = [tool.spec for name, tool in self._performer.granted.items() if name != RECALL]
        if len(tools) != self._grammar[0]:
            built_in = [self._performer.recall.spec] if tools else []
            self._grammar = len(tools), self._dialect.grammar([*tools, *built_in])
        return self._grammar[1]

    def _listen(self, text: str) -> Listen:
        """Listeners for a reply that goes on from `text`."""
        attempts = 0

        def listener() -> Watch:
            nonlocal attempts
            attempts += 1
            if attempts > 1:
                self._on_restart()
            watch = self._dialect.watch()
            watch(text)

            def heard(delta: str) -> bool:
                self._on_text(delta)
                return watch(delta)

            return heard

        return listener

    async def _observe(
        self, reply: Pending, parsed: Parsed, step: int, observation: Observation, seconds: float
    ) -> None:
        """Log and append what came of one of the reply's actions.

        A reply that invented a result, guessed the answer or repeated an earlier step is left out of the stream: a
        model copies what it sees, most of all its own mistakes. Function calls stay, since every call must be seen with
        its result.
        """
        action, number = reply.intended[step], step - reply.first
        repeated = observation.repeats is not None
        guessed = observation.error == UNTRIED
        dropped = (parsed.discard or repeated or guessed) and not parsed.answers
        self._loose.take(action, observation)
        lead = self._loose.picked_up(action, observation)
        begun = parsed.resume
        if observation.error == "malformed" and not dropped and self._budget.idle > 1 and self._seen:
            begun = self._dialect.answer_start  # it talks about what it has seen, and does not act any more
        elif lead is not None and not begun:
            begun = self._dialect.push(lead)
        begun = begun if self._model.continues else ""
        self._seen = self._seen or (observation.ok and not isinstance(action, Search))
        answers = parsed.answers[number] if parsed.answers else None
        restore = "" if dropped else parsed.restore
        segment = await self._shown(action, observation, restore, begun, answers)
        self._log.append(
            Observed(
                step=step,
                observation=observation,
                segment=segment,
                seconds=seconds,
                dropped=dropped,
                begun=begun,
                idle=self._budget.idle,
                failing=self._budget.failing,
            )
        )
        for piece in [] if dropped or reply.observed else reply.segments:
            self._windows.open.append(piece)
        self._windows.open.append(segment)
        self._windows.begun = begun
        reply.observed.add(step)

    async def _shown(
        self, action: Action, observation: Observation, before: str, after: str, answers: str | None
    ) -> Segment:
        """What the model is shown of an observation; it was made, so it must not be lost, however small the window."""
        try:
            shown = self._dialect.render(action, observation.text)
            return await self._model.observation(shown, before=before, after=after, answers=answers)
        except ContextOverflowError:
            shown = self._dialect.render(action, clipped(observation.text, _LEAST_SHOWN))
            return await self._model.observation(shown, before=before, after=after, answers=answers)

    async def _fold_as_asked(self, reply: Pending, parsed: Parsed) -> None:
        try:
            await self._windows.fold("asked")
        except StuckError:
            raise
        except FoldError as error:
            declined = Observation(text=f"Not folded: {error}. Go on.", error="fold")
            self._budget.idle += 1
            self._budget.failing += 1
            await self._observe(reply, parsed, reply.first, declined, 0.0)

    async def _force(self, reason: str, otherwise: Status) -> Ended:
        """At a limit: one last reply, which is the answer; without one the run ends as `otherwise` says."""
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                generated = await self._last_words(reason)
        except (ContextOverflowError, FoldError, RefusedError, TimeoutError):  # some templates refuse such a question
            return self._end(otherwise, reason)
        self._spend(generated.usage)
        cut = generated.finish == "length"
        self._answer = None if cut else self._dialect.demanded(generated.segment.text)
        reply = Replied(step=self._budget.actions + 1, generated=generated)
        return self._end("forced" if self._answer else otherwise, reason, reply)

    async def _last_words(self, reason: str) -> Generated:
        """Ask for the answer."""
        await self._windows.make_room_to_answer()
        window = self._windows.open
        sentence = reason[0].upper() + reason[1:]
        begun = self._dialect.answer_start if self._model.continues else ""
        segment = await self._model.observation(self._dialect.demand_answer(sentence), after=begun)
        self._log.append(Noticed(text=sentence, segment=segment))
        window.append(segment)
        stop, listen = self._dialect.stops, lambda: self._overhear
        return await self._model.generate(window, self._config.sampling, stop=stop, listen=listen, calls=False)

    def _overhear(self, delta: str) -> bool:
        self._on_text(delta)
        return False

    def _spend(self, usage: Usage) -> None:
        self._usage += usage
        self._budget.tokens += usage.computed

    def _end(self, status: Status, reason: str, *before: Event) -> Ended:
        ended = Ended(
            status=status,
            answer=self._answer if status in ("answered", "forced") else None,
            reason=reason,
            usage=self._usage,
            steps=self._budget.actions,
            folds=self._budget.folds,
            seconds=self._budget.seconds,
        )
        self._log.append(*before, ended)
        return ended


def _text(parts: Sequence[Generated]) -> str:
    return "".join(part.segment.text for part in parts)
