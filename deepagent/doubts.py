"""What speaks against an answer: said to the model before the answer counts, in the words of what it can do about it.

Small models answer too early: before they have looked, with the text of an error, with a number that stands in no
result, or after the second of four parts. All of that can be read from the log. A doubt is a hint and no verdict:
a model that does nothing about it, and insists, is believed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from deepagent.actions import PARTIAL, UNSEEN, UNTRIED, Action, Call, Execute, Malformed, Search
from deepagent.retrieval import Hit
from deepagent.runs.events import Event, Intended, Observed, ToolCalled, ToolReturned
from deepagent.tools import ToolSpec

_MOST = 4
"""Doubts in one run."""
_AGAIN, _SIGNATURES, _SHOWN = 600, 8, 120
"""Characters of the task, tools or results, and characters of a result that are told again."""
_PART = re.compile(r"^\s*(\d{1,2})[.)]\s+(\S.*)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_VALUE = re.compile(r"[^\s,;:]+(?: [^\s,;:]+)*")
_ERROR = re.compile(r"^\s*(?:Traceback \(most recent call last\)|(?:\w+Error|error)\b)")
_DERIVED_DIGITS = 1
"""Numbers of so many digits are counts that a model may well have made itself."""
_MOST_DIGITS = 20
"""Behind the point, that make a difference."""
_MOST_NUMBERS = 20_000
"""Numbers that are kept; who has seen more is believed."""

FAILED, UNFINISHED = "failed_answer", "unfinished"
_KINDS = frozenset({UNTRIED, FAILED, UNFINISHED, PARTIAL, UNSEEN})

Find = Callable[[str], Awaitable[Sequence[Hit]]]
"""Finds the tools that fit a description, best first."""


@dataclass(frozen=True)
class Doubt:
    """Something that speaks against an answer.

    Attributes:
        text: what the model is told.
        hits: tools for what is to be done next.
    """

    kind: str
    text: str
    hits: Sequence[Hit] = ()


class Doubts:
    """Hears the events of one run, and says what speaks against its answer.

    Args:
        task: what is to be done.
        tools: whether there are tools.
        shown: gives those that the prompt shows.
        code: whether the model may run Python.
        find: searches the tools; None where all of them are shown.
    """

    def __init__(
        self,
        task: str,
        *,
        tools: bool,
        code: bool,
        shown: Callable[[], Iterable[ToolSpec]] = tuple,
        find: Find | None = None,
    ) -> None:
        self._task = task
        self._parts = tuple(parts(task)) if tools else ()
        self._tools = tools
        self._shown = shown
        self._code = code
        self._find = find
        self._numbers = set(numbers(task))
        self._intended: dict[int, Action] = {}
        self._called: dict[int, str] = {}  # by the number of the call among those of the code that runs
        self._last: dict[str, str] = {}  # what each tool brought last
        self._best: list[str] = []  # for each part, the tool that fits its words best
        self._actions = 0
        self._results = 0
        self._count = 0
        self._raised = -1  # actions that there had been at the last doubt

    def hear(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, Intended):
            self._intended[event.step] = event.action
            self._actions += isinstance(event.action, Call | Execute)
        elif isinstance(event, ToolCalled):
            self._called[event.call] = event.name
        elif isinstance(event, ToolReturned):
            name = self._called.pop(event.call, "")
            if event.error is None and not event.found:
                self._brought(name, event.result)
            self._read(event.result)
        elif isinstance(event, Observed):
            self._observed(event, self._intended.pop(event.step, None))

    def _observed(self, event: Observed, action: Action | None) -> None:
        seen = event.observation
        if seen.error in _KINDS:
            self._raised = self._actions
            self._count += 1
        elif not isinstance(action, Search | Malformed):
            self._read(seen.text)
            if seen.ok and isinstance(action, Call) and seen.repeats is None:
                self._brought(action.name, seen.text)
            self._results += seen.ok and not self._results  # code that ran without tools is something seen, too

    def _brought(self, name: str, text: str) -> None:
        self._results += 1
        self._last[name] = " ".join(text[:_SHOWN].split())

    def _read(self, text: str) -> None:
        if len(self._numbers) < _MOST_NUMBERS:
            self._numbers.update(numbers(text))

    async def against(self, answer: str, *, computed: bool = False) -> Doubt | None:
        """What speaks against an answer; None lets it stand.

        Args:
            answer: what is to be the answer.
            computed: whether code made it.
        """
        if self._count >= _MOST or self._raised == self._actions:
            return None
        async for doubt in self._all(answer, computed):
            return doubt
        return None

    async def _all(self, answer: str, computed: bool) -> AsyncIterator[Doubt]:
        if self._tools and not self._actions:
            yield await self._untried()
        if _ERROR.match(answer):
            yield Doubt(FAILED, "An error is not an answer. Mend what failed, and try again.")
        if (left := await self._left()) is not None:
            yield left
        if len(_VALUE.findall(answer)) < len(self._parts):
            said = f"The task has {len(self._parts)} parts, and the answer covers less. Answer all of them:"
            yield Doubt(PARTIAL, "\n".join([said, *self._so_far()]))
        if self._tools and self._code and not computed and (unseen := self._unseen(answer)) is not None:
            yield Doubt(UNSEEN, f"{unseen} stands in no result. Compute it with Python from the results, then answer.")

    async def _untried(self) -> Doubt:
        """Small models go back to the example in their prompt when they are not told the task again."""
        task = self._task[:_AGAIN]
        text = f"No tool has been used yet, and an answer must come from results. The task is still:\n{task}"
        if self._find is not None:
            return Doubt(UNTRIED, text, await self._find(task))
        signatures = "\n".join(spec.signature for spec in islice(self._shown(), _SIGNATURES))
        return Doubt(UNTRIED, f"{text}\nUse its tools first:\n{signatures}")

    async def _left(self) -> Doubt | None:
        """The first part whose best tool was not used; where tools are not searched, the results are counted."""
        self._best = []
        for number, part in enumerate(self._parts):
            hits = await self._find(part.partition(" ")[2]) if self._find else ()
            done = hits[0].spec.name in self._last if hits else number < self._results
            if not done:
                return Doubt(UNFINISHED, f"Not finished. Go on with this part:\n{part}", hits)
            self._best += [hits[0].spec.name] if hits else []
        return None

    def _so_far(self) -> list[str]:
        """The parts with what their tools brought; where it is not known which tools, the last results."""
        if len(self._best) == len(self._parts):
            return [f"{part} {self._last[name]}" for part, name in zip(self._parts, self._best, strict=True)]
        return [f"{name}: {text}" for name, text in [*self._last.items()][-_SIGNATURES:]]

    def _unseen(self, answer: str) -> str | None:
        """The first number that was not seen, nor is one that was seen in fewer digits."""
        if len(self._numbers) >= _MOST_NUMBERS:
            return None
        rounded: dict[int, set[float]] = {}
        for found in _NUMBER.finditer(answer):
            written, value = found.group(), _value(found.group())
            if len(written) <= _DERIVED_DIGITS or value in self._numbers:
                continue
            digits = min(len(written.rpartition(".")[2]) if "." in written else 0, _MOST_DIGITS)
            if digits not in rounded:
                rounded[digits] = {round(one, digits) for one in self._numbers}
            if value not in rounded[digits]:
                return written
        return None


def parts(task: str) -> Iterator[str]:
    """The parts of a task that numbers them 1, 2, 3, ... at the beginning of lines; none where there is but one."""
    found = [(int(number), f"{number}. {text.strip()}") for number, text in _PART.findall(task)]
    if len(found) > 1 and [number for number, _ in found] == list(range(1, len(found) + 1)):
        yield from (text for _, text in found)


def numbers(text: str) -> Iterator[float]:
    """The numbers of a text, without signs and thousands separators."""
    for one in _NUMBER.findall(text):
        yield _value(one)


def _value(written: str) -> float:
    try:
        return float(written.replace(",", ""))
    except ValueError:  # such as a date or a version, with several points
        return float(written.replace(",", "").replace(".", ""))
