"""One run of the reasoning loop.

Everything is in the log before it takes effect, and nothing but `OperatorError` and the user's own interruption ends a
run without an answer or a stated limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from deepagent.actions import UNTRIED, Action, Answer, Fold, Observation, Search
from deepagent.budget import Budget
from deepagent.dialects import Parsed
from deepagent.doubts import Doubts
from deepagent.errors import ContextOverflowError, FoldError, OperatorError, StuckError, UsageError
from deepagent.means import Means
from deepagent.models.base import Usage
from deepagent.models.failures import RefusedError
from deepagent.performer import Performer
from deepagent.replies import Replies
from deepagent.runs.events import Ended, Event, Intended, Observed, Replied, Resumed, Started, Status
from deepagent.runs.owners import BEAT_SECONDS
from deepagent.runs.progress import LooseEnd, Pending, Progress
from deepagent.runs.steps import steps
from deepagent.transcript import Segment, clipped
from deepagent.windows import Windows

_LEAST_SHOWN = 300
"""Bytes of a result that are shown where the server takes no more."""
_GRACE_SECONDS = 120
"""Time for the answer that is asked for at a limit."""


class Session:
    """The state of one run, and the loop.

    Args:
        means: what it works with; the log is empty, or that of the run to resume.
        on_text: receives the model's text as it is written.
        on_restart: told that a reply broke off, and is written anew from its beginning.
    """

    def __init__(
        self, means: Means, *, on_text: Callable[[str], None], on_restart: Callable[[], None] = lambda: None
    ) -> None:
        self._means = means
        self._model = means.model
        self._dialect = means.dialect
        self._config = means.config
        self._log = means.log
        self._budget = Budget(means.config.limits)
        self._doubts = self._doubting(means)
        means.log.listeners.append(self._doubts.hear)
        self._performer = Performer(means, self._doubts)
        self._windows = Windows(means, self._performer, self._budget, self._spend)
        self._replies = Replies(
            means,
            self._performer.reach,
            self._windows,
            self._budget,
            self._spend,
            on_text=on_text,
            on_restart=on_restart,
        )
        self._usage = Usage()
        self._answer: str | None = None
        self._pending: Pending | None = None  # a reply that was left in the middle of something
        self._stopping = False
        self._begun = False  # until then the log stays as it is, whatever fails
        self._seen = False  # whether any action has brought more than tools
        self._loose = LooseEnd()

    def _doubting(self, means: Means) -> Doubts:
        catalogue, search = means.catalogue, means.abilities.search
        find = partial(catalogue.search, k=means.config.found) if search else None
        return Doubts(
            means.task,
            tools=len(catalogue) > 0,
            code=means.config.execute,
            shown=lambda: self._performer.reach.specs,
            find=find,
        )

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
            task=self._means.task,
            model=self._model.name,
            context=self._model.context,
            settings=self._config.model_dump(mode="json"),
            benchmark=benchmark,
            sources=self._means.sources,
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
            self._means.earlier.learn(self._log.id, self._windows.remembered, self._means.catalogue.get)
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
            sources=self._means.sources,
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
            parsed, last = await self._replies.read(reply)
        except ContextOverflowError:
            await self._windows.fold("window")
            reply = Pending(self._budget.actions)
            parsed, last = await self._replies.read(reply)
        await self._do(reply, parsed, last)

    async def _pick_up(self, reply: Pending) -> None:
        """Deal with a reply that was left in the middle of something: what is in the log of it is not done again."""
        self._pending = None
        self._budget.actions = max(self._budget.actions, reply.first)
        parsed, last = await self._replies.read(reply, logged=len(reply.parts))
        for step, action in reply.intended.items():
            unknown = self._performer.settled(step, action)
            if unknown is not None and step not in reply.observed:
                reply.performed.setdefault(step, (unknown, 0.0))
        await self._do(reply, parsed, last)

    async def _do(self, reply: Pending, parsed: Parsed, last: Sequence[Replied]) -> None:
        """Log what a reply asks for together with its last part, unless the log has it, and do it."""
        if not reply.intended:
            reply.intended = dict(enumerate(parsed.actions, start=reply.first))
            self._budget.actions = max(reply.intended)
            thoughts = [parsed.thought, *[""] * len(parsed.further)]
            self._log.append(
                *last,
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
                    self._count([seen for seen, _ in done.values()])
                for step in reply.intended:
                    if step not in reply.observed:
                        await self._observe(reply, parsed, step, *done.get(step, (otherwise, 0.0)))
                answers = (seen.answer for seen, _ in done.values() if seen.answer is not None)
                self._answer = next(answers, self._answer)

    def _count(self, observations: Sequence[Observation]) -> None:
        """Whether a reply brought anything new, and whether anything of it worked."""
        in_vain = all(seen.repeats is not None or seen.error == "malformed" for seen in observations)
        self._budget.idle = self._budget.idle + 1 if in_vain else 0
        worked = not in_vain and any(seen.ok for seen in observations)
        self._budget.failing = 0 if worked else self._budget.failing + 1

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
        waits = lead is None or self._budget.idle > 1  # nothing is left to be mended, or it does not mend it
        if observation.error == "malformed" and not dropped and waits and self._seen:
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
                generated = await self._replies.last(reason)
        except (ContextOverflowError, FoldError, RefusedError, TimeoutError):  # some templates refuse such a question
            return self._end(otherwise, reason)
        self._spend(generated.usage)
        cut = generated.finish == "length"
        self._answer = None if cut else self._dialect.demanded(generated.segment.text)
        reply = Replied(step=self._budget.actions + 1, generated=generated)
        return self._end("forced" if self._answer else otherwise, reason, reply)

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
