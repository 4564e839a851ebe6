"""The model's turns: it is asked until its reply says what to do, and at the end for the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deepagent.actions import Malformed
from deepagent.budget import Budget
from deepagent.dialects import Parsed
from deepagent.grammar import Grammar
from deepagent.means import Means
from deepagent.memory.recall import RECALL
from deepagent.models.base import Generated, Listen, Sampling, Usage, Watch
from deepagent.reach import Reach
from deepagent.runs.events import Noticed, Replied
from deepagent.runs.progress import Pending
from deepagent.transcript import Segment
from deepagent.windows import Windows

_MAX_CONTINUATIONS = 4
_AGAINST_REPETITION = 0.4
_WARMEST = 0.8


class Replies:
    """Asks the model to go on from the open window, and reads what it writes.

    Args:
        means: what the run works with.
        reach: the tools that replies may call.
        windows: has the window that the model sees.
        budget: of the run.
        spend: told what a reply has cost.
        on_text: receives the model's text as it is written.
        on_restart: told that a reply broke off, and is written anew from its beginning.
    """

    def __init__(
        self,
        means: Means,
        reach: Reach,
        windows: Windows,
        budget: Budget,
        spend: Callable[[Usage], None],
        *,
        on_text: Callable[[str], None],
        on_restart: Callable[[], None],
    ) -> None:
        self._model = means.model
        self._dialect = means.dialect
        self._config = means.config
        self._log = means.log
        self._reach = reach
        self._windows = windows
        self._budget = budget
        self._spend = spend
        self._on_text = on_text
        self._on_restart = on_restart
        self._grammar: tuple[int, Grammar | None] = (0, None)  # for so many tools within reach

    async def read(self, reply: Pending, *, logged: int = 0) -> tuple[Parsed, list[Replied]]:
        """Generate until the dialect can read an action, or give up as malformed.

        Args:
            reply: what was written so far; receives the rest.
            logged: how many of its parts are in the log.

        Returns:
            What the reply asks for, and its last part, which is to be logged together with that.
        """
        begun, self._windows.begun = self._windows.begun, ""
        unlogged: list[Replied] = []
        for number in range(max(_MAX_CONTINUATIONS, logged)):
            if number >= len(reply.parts):
                if unlogged:
                    self._log.append(*unlogged)
                    unlogged = []
                reply.parts.append(await self._generate(reply.segments, begun + _text(reply.parts)))
            if number >= logged:
                unlogged.append(Replied(step=reply.first, generated=reply.parts[number]))
            parsed = self._parse(begun, reply.parts[: number + 1])
            if parsed is not None:
                return parsed, unlogged
        text = begun + _text(reply.parts)
        endless = Parsed(text, Malformed(problem="the reply does not end"))
        return self._dialect.parse(text, "length") or endless, unlogged

    async def last(self, reason: str) -> Generated:
        """Ask for the answer, at a limit.

        Args:
            reason: the limit, in words.
        """
        await self._windows.make_room_to_answer()
        window = self._windows.open
        sentence = reason[0].upper() + reason[1:]
        begun = self._dialect.answer_start if self._model.continues else ""
        segment = await self._model.observation(self._dialect.demand_answer(sentence), after=begun)
        self._log.append(Noticed(text=sentence, segment=segment))
        window.append(segment)
        stop, listen = self._dialect.stops, lambda: self._overhear
        return await self._model.generate(window, self._config.sampling, stop=stop, listen=listen, calls=False)

    def _parse(self, begun: str, parts: Sequence[Generated]) -> Parsed | None:
        """The step in a reply that was made to begin with `begun`; None: it goes on."""
        text, last = _text(parts), parts[-1]
        whole = self._dialect.parse(begun + text, last.finish, last.segment.message)
        if not begun or (whole is not None and whole.thought.startswith(begun)):
            return whole
        # A reply that is whole by itself started anew instead of going on from the action that it was to begin with.
        anew = self._dialect.parse(text, last.finish)
        return whole if anew is None or anew.action.kind == "malformed" or anew.bare else anew

    async def _generate(self, reply: Sequence[Segment], text: str) -> Generated:
        """One request that continues the window and what was written in this step so far, which is `text`."""
        window = self._windows.open.extended(reply)
        # A grammar knows only replies from their beginning.
        grammar = self._held() if self._config.grammar and not text else None
        stop, listen = self._dialect.stops, self._listen(text, "" if reply else text)
        generated = await self._model.generate(window, self._sampling(), stop=stop, listen=listen, grammar=grammar)
        self._spend(generated.usage)
        return generated

    def _sampling(self) -> Sampling:
        """Without randomness a model that repeats itself does so for ever."""
        sampling = self._config.sampling
        if not self._budget.idle or sampling.temperature != 0:
            return sampling
        warmer = min(_WARMEST, _AGAINST_REPETITION * self._budget.idle)
        return sampling.model_copy(update={"temperature": warmer, "seed": self._budget.actions})

    def _held(self) -> Grammar | None:
        """The grammar for the tools that are within reach now."""
        tools = [tool.spec for name, tool in self._reach.granted.items() if name != RECALL]
        if len(tools) != self._grammar[0]:
            built_in = [self._reach.recall.spec] if tools else []
            self._grammar = len(tools), self._dialect.grammar([*tools, *built_in])
        return self._grammar[1]

    def _listen(self, text: str, led: str = "") -> Listen:
        """Listeners for a reply that goes on from `text`, of which `led` has not been told yet."""
        attempts = 0

        def listener() -> Watch:
            nonlocal attempts
            attempts += 1
            if attempts > 1:
                self._on_restart()
            if led:
                self._on_text(led)
            watch = self._dialect.watch()
            watch(text)

            def heard(delta: str) -> bool:
                self._on_text(delta)
                return watch(delta)

            return heard

        return listener

    def _overhear(self, delta: str) -> bool:
        self._on_text(delta)
        return False


def _text(parts: Sequence[Generated]) -> str:
    return "".join(part.segment.text for part in parts)
