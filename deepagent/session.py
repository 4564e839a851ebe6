"""One run of the reasoning loop.

Everything is in the log before it takes effect, and nothing but `OperatorError` and the user's own interruption ends a
run without an answer or a stated limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from deepagent.actions import Action, Answer, Fold, Malformed, Observation, Search
from deepagent.budget import Budget
from deepagent.catalogue import Catalogue
from deepagent.config import AgentConfig
from deepagent.dialects import Abilities, Dialect, Parsed
from deepagent.errors import ContextOverflowError, FoldError, OperatorError, StuckError, UsageError
from deepagent.grammar import Grammar
from deepagent.invocation import Approve
from deepagent.memory.folder import Folder
from deepagent.memory.recall import RECALL
from deepagent.models.base import Generated, Listen, Model, Usage, Watch
from deepagent.models.failures import RefusedError
from deepagent.performer import Done, Performer
from deepagent.runs.events import Ended, Intended, Noticed, Observed, Replied, Sources, Started, Status
from deepagent.runs.owners import BEAT_SECONDS
from deepagent.runs.store import RunLog
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
        sources: what model and tools were named by, for the log.
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
        sources: Sources | None = None,
    ) -> None:
        self._task = task
        self._sources = sources or Sources()
        self._model = model
        self._dialect = dialect
        self._config = config
        self._log = log
        self._on_text = on_text
        self._on_restart = on_restart
        self._budget = Budget(config.limits)
        self._performer = Performer(
            catalogue,
            abilities,
            config,
            log,
            min(config.result_tokens, model.context // 6),
            approve=approve,
            pool=pool,
            attachments=attachments,
            over=over,
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
        self._seen = False  # whether any action has brought more than tools
        self._grammar: tuple[int, Grammar | None] = (0, None)  # for so many tools within reach

    async def run(self, benchmark: str | None = None) -> Ended:
        """Work on the task until an answer, a limit, an interruption or a broken model.

        Raises:
            UsageError: the task is larger than the window, a tool cannot be offered, or the sandbox cannot be as its
                settings say; it is logged as failed.
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
                sources=self._sources,
            )
        )
        beating = asyncio.create_task(self._beat())
        try:
            return await self._loop()
        except (OperatorError, UsageError) as error:
            self._end("failed", str(error))
            raise
        except asyncio.CancelledError:
            self._end("interrupted", "interrupted")
            raise
        finally:
            beating.cancel()
            try:
                await self._performer.close()
            finally:
                self._log.release()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            self._log.beat()

    async def _loop(self) -> Ended:
        await self._windows.open_first()
        while True:
            limit = self._budget.exhausted()
            if limit is not None:
                return await self._force(limit, "limit")
            time_limit = asyncio.timeout(self._budget.seconds_left)
            try:
                async with time_limit:
                    await self._step()
            except TimeoutError:
                if not time_limit.expired():
                    raise
                continue  # the next turn of the loop says so
            except (FoldError, ContextOverflowError) as error:
                return await self._force(str(error), "stuck" if isinstance(error, StuckError) else "truncated")
            if self._answer is not None:
                return self._end("answered", "the model answered")

    async def _step(self) -> None:
        """Think, then do what the reply asks for: one action, or several function calls, each a step of its own.

        A prompt that the server finds too long is folded, and sent once more.
        """
        await self._windows.make_room()
        self._budget.actions += 1
        first = self._budget.actions
        try:
            parsed, replies = await self._think(first)
        except ContextOverflowError:
            await self._windows.fold("window")
            parsed, replies = await self._think(first)
        reply = [generated.segment for generated in replies]
        actions = list(enumerate(parsed.actions, start=first))
        self._budget.actions += len(actions) - 1
        self._log.append(
            Replied(step=first, generated=replies[-1]),
            *(Intended(step=n, thought=parsed.thought if n == first else "", action=one) for n, one in actions),
        )
        if isinstance(parsed.action, Answer):
            self._answer = parsed.action.text
        elif isinstance(parsed.action, Fold) and len(actions) == 1:
            await self._fold_as_asked(first, parsed, reply)
        else:
            await self._act(actions, parsed, reply)

    async def _act(self, actions: list[tuple[int, Action]], parsed: Parsed, reply: Sequence[Segment]) -> None:
        limit = self._config.limits.actions
        allowed = [(step, action) for step, action in actions if limit is None or step <= limit]
        done: Done = {}
        otherwise = Observation(text="Interrupted: whether it was done is not known.", error="interrupted")
        try:
            await self._performer.perform_all(allowed, done)
            otherwise = Observation(text=f"Not done: the limit of {limit} actions is reached.", error="limit")
        finally:  # what was done before an interruption has an outcome too, and every call of a reply an answer
            if done:
                in_vain = all(seen.repeats is not None or seen.error == "malformed" for seen, _ in done.values())
                self._budget.idle = self._budget.idle + 1 if in_vain else 0
                worked = not in_vain and any(seen.ok for seen, _ in done.values())
                self._budget.failing = 0 if worked else self._budget.failing + 1
                for number, (step, action) in enumerate(actions):
                    observation, seconds = done.get(step, (otherwise, 0.0))
                    await self._observe(number, (step, action), parsed, reply, observation, seconds)
                self._answer = next((seen.answer for seen, _ in done.values() if seen.answer is not None), None)

    async def _think(self, step: int) -> tuple[Parsed, list[Generated]]:
        """Generate until the dialect can read an action, or give up as malformed.

        Also returns what was written, logged but for the last part, which is logged together with what it means.
        """
        replies: list[Generated] = []
        text = begun = self._windows.begun
        self._windows.begun = ""
        for _ in range(_MAX_CONTINUATIONS):
            if replies:
                self._log.append(Replied(step=step, generated=replies[-1]))
            generated = await self._generate([one.segment for one in replies], text)
            replies.append(generated)
            text += generated.segment.text
            message = generated.segment.message
            # A reply that is whole by itself started anew instead of going on from what it was made to begin with.
            anew = self._dialect.parse(text.removeprefix(begun), generated.finish) if begun else None
            whole = anew is not None and anew.action.kind != "malformed"
            parsed = anew if whole else self._dialect.parse(text, generated.finish, message)
            if parsed is not None:
                return parsed, replies
        endless = Parsed(text, Malformed(problem="the reply does not end"))
        return self._dialect.parse(text, "length") or endless, replies

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
        self,
        number: int,
        action: tuple[int, Action],
        parsed: Parsed,
        reply: Sequence[Segment],
        observation: Observation,
        seconds: float,
    ) -> None:
        """Log and append what came of the reply's action of this number.

        A reply that invented a result or repeated an earlier step is left out of the stream: a model copies what it
        sees, most of all its own mistakes. Function calls stay, since every call must be seen with its result.
        """
        step, done = action
        repeated = observation.repeats is not None
        dropped = (parsed.discard or repeated) and not parsed.answers
        begun = parsed.resume
        if repeated:
            begun = self._dialect.push(done)
        elif observation.error == "malformed" and not dropped and self._budget.idle > 1 and self._seen:
            begun = self._dialect.answer_start  # it talks about what it has seen, and does not act any more
        begun = begun if self._model.continues else ""
        self._seen = self._seen or (observation.ok and not isinstance(done, Search))
        answers = parsed.answers[number] if parsed.answers else None
        restore = "" if dropped else parsed.restore
        segment = await self._shown(done, observation.text, restore, begun, answers)
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
        for piece in [] if dropped or number else reply:
            self._windows.open.append(piece)
        self._windows.open.append(segment)
        self._windows.begun = begun

    async def _shown(self, action: Action, text: str, before: str, after: str, answers: str | None) -> Segment:
        """What the model is shown of an observation; it was made, so it must not be lost, however small the window."""
        try:
            shown = self._dialect.render(action, text)
            return await self._model.observation(shown, before=before, after=after, answers=answers)
        except ContextOverflowError:
            shown = self._dialect.render(action, clipped(text, _LEAST_SHOWN))
            return await self._model.observation(shown, before=before, after=after, answers=answers)

    async def _fold_as_asked(self, step: int, parsed: Parsed, reply: Sequence[Segment]) -> None:
        try:
            await self._windows.fold("asked")
        except StuckError:
            raise
        except FoldError as error:
            declined = Observation(text=f"Not folded: {error}. Go on.", error="fold")
            self._budget.idle += 1
            self._budget.failing += 1
            await self._observe(0, (step, parsed.action), parsed, reply, declined, 0.0)

    async def _force(self, reason: str, otherwise: Status) -> Ended:
        """At a limit: one last reply, which is the answer; without one the run ends as `otherwise` says."""
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                generated = await self._last_words(reason)
        except (ContextOverflowError, FoldError, RefusedError, TimeoutError):  # some templates refuse such a question
            return self._end(otherwise, reason)
        self._spend(generated.usage)
        self._log.append(Replied(step=self._budget.actions + 1, generated=generated))
        cut = generated.finish == "length"
        self._answer = None if cut else self._dialect.demanded(generated.segment.text)
        return self._end("forced" if self._answer else otherwise, reason)

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
