"""The narrative against the log: what it claims must be there.

A model that folds history is easily wrong in ways that fit any schema: it invents values, names tools that were never
called, says that nothing was achieved. Whatever a text names exactly - numbers, quoted words, identifiers, addresses -
must occur in what the text rests on; else the sentence is dropped. So an invented value never enters memory, and an
instruction that hides in a result cannot bring in an address or a tool that the log does not show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from deepagent.memory.counts import uses
from deepagent.memory.ledger import line
from deepagent.memory.render import render_step
from deepagent.memory.schema import (
    DerivedRule,
    EpisodicNotes,
    KeyEvent,
    LedgerEntry,
    Memory,
    Rule,
    ToolExperience,
    ToolNotes,
    WorkingMemory,
)
from deepagent.runs.steps import Step

_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
_NUMBER_ANYWHERE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
"""Inside names too: of CODE-7319 a model may write the 7319 alone."""
_QUOTED = re.compile(r"(?<!\w)'([^']{2,80})'(?!\w)|\"([^\"]{2,80})\"|`([^`]{2,80})`")
_NAME = re.compile(
    r"\b[A-Za-z]\w*_\w+\b"  # snake_case
    r"|\b(?=\w*\d)(?=\w*[A-Za-z])\w+\b"  # AB12
    r"|\b\w+(?:[-.:/@]+\w+)+\b"  # addresses, dates, paths, codes with dashes
    r"|\b\w+(?=\((?!e?s\)))"  # a call, and not a plural(s)
)
_NO_NAME = re.compile(r"[^\W\d_]+(?:[-/][^\W\d_]+)+|\d+(?:[-/]\d+)?|\d+[.,]\d+|e\.g|i\.e", re.IGNORECASE)
"""Plain words joined by a dash or slash, as in `key-value` and `and/or`; numbers, which are compared as such."""
_STEP = re.compile(r"\bsteps?\s+\d+(?:\s*(?:,|-|to|and)\s*\d+)*", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
_CITED = re.compile(r"(?:steps?\s*)?(\d+)", re.IGNORECASE)
_NOTHING = re.compile(
    r"\bno (?:real |actual |significant |meaningful )?progress\b"
    r"|\bnothing (?:has |have |was |is )?(?:yet |been )*(?:done|achieved|accomplished|found|completed)\b"
    r"|\bno (?:steps?|actions?|tools?)(?: calls?)? (?:has|have|was|were)(?: yet)?(?: been)?"
    r" (?:taken|made|done|called|used|completed)\b"
    r"|\b(?:has|have)(?: not|n't)(?: yet)? (?:begun|started)\b",
    re.IGNORECASE,
)
_OVER = re.compile(
    r"\btask (?:is|was|has been)(?: now| already| fully| successfully)* (?:complete|completed|finished|done|solved)\b",
    re.IGNORECASE,
)
_SUCCESS = re.compile(r"\b(?:success\w*|succeeded|worked)\b", re.IGNORECASE)
_FAILURE = re.compile(r"\b(?:fail\w*|errors?|unsuccessful\w*|invalid)\b", re.IGNORECASE)


class Source:
    """Something that claims may rest on.

    Args:
        texts: what it says.
    """

    def __init__(self, *texts: str) -> None:
        self._text = " ".join(" ".join(texts).casefold().split())

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return frozenset(map(_plain, _NUMBER_ANYWHERE.findall(self._text)))

    def lacks(self, claim: str, *, numbers: bool = True) -> str | None:
        """The first thing that the claim names and this does not, or None.

        Args:
            claim: the text.
            numbers: whether numbers count too; in a plan they may be new.
        """
        claim = _STEP.sub(" ", claim)
        for exact in _exact(claim):
            if exact.casefold() not in self._text:
                return exact
        if numbers:
            for match in _NUMBER.finditer(claim):
                if _plain(match.group()) not in self._numbers:
                    return match.group()
        return None

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether the pattern occurs."""
        return pattern.search(self._text) is not None


@dataclass(frozen=True)
class CheckedNotes:
    """Notes on tools, and rules with the tools that their steps called."""

    tools: tuple[ToolExperience, ...]
    rules: tuple[DerivedRule, ...]


class Log:
    """What the narrative of one fold may rest on: the task, the new steps, and what is remembered of earlier ones.

    Args:
        task: the task statement.
        steps: the steps since the fold before.
        previous: its memory, which went through the same checks.

    Attributes:
        dropped: what was left out and why, in words.
    """

    def __init__(self, task: str, steps: Sequence[Step], previous: Memory | None) -> None:
        self.dropped: list[str] = []
        known = _remembered(previous)
        self._steps = {step.number: f"{render_step(step)} {_called(step)}" for step in steps}
        self._entries: Mapping[int, LedgerEntry] = {entry.step: entry for entry in previous.ledger} if previous else {}
        self._failed = {step.number: step.observation is not None and not step.observation.ok for step in steps}
        self._failed |= {number: not entry.ok for number, entry in self._entries.items() if number not in self._failed}
        self._last = max([*self._steps, *self._entries, 0])
        self._task, self._known = task, known
        self._all = Source(task, *known, *self._steps.values())
        self._called = {step.number: tuple(use.name for use in uses(step)) for step in steps}
        self._tools = frozenset(name for names in self._called.values() for name in names)
        self._tools |= frozenset(record.tool_name for record in previous.tool.tools_used) if previous else frozenset()
        done = sum(step.observation is not None and step.observation.ok for step in steps)
        self._progress = done > 0 or (previous is not None and previous.steps > previous.failed)

    def episodic(self, told: EpisodicNotes) -> EpisodicNotes:
        """The memory with the events and sentences that the log bears out."""
        events = tuple(
            event.model_copy(update={"step": str(self.cited([event.step])[0])})
            for event in told.key_events
            if self._passes("event", f"{event.description} {event.outcome}", self._flaw_of_event(event))
        )
        return told.model_copy(
            update={
                "key_events": events,
                "current_progress": self._sentences(told.current_progress, "progress"),
                "task_description": self._sentences(told.task_description, "task"),
            }
        )

    def working(self, told: WorkingMemory) -> WorkingMemory:
        """The memory with what the log bears out; plans may name new numbers, but nothing else that is new."""
        actions = tuple(
            action for action in told.next_actions if self._sentences(action.description, "plan", numbers=False)
        )
        return told.model_copy(
            update={
                "immediate_goal": self._sentences(told.immediate_goal, "goal", numbers=False),
                "current_challenges": self._sentences(told.current_challenges, "challenge"),
                "next_actions": actions,
            }
        )

    def notes(self, told: ToolNotes) -> CheckedNotes:
        """The notes on tools that were called, and the rules that cite steps."""
        tools = tuple(
            tool.model_copy(
                update={
                    "response_pattern": self._sentences(tool.response_pattern, "pattern"),
                    "experience": self._sentences(tool.experience, "experience"),
                }
            )
            for tool in told.tools_used
            if self._passes("tool", tool.tool_name, None if tool.tool_name in self._tools else "it was never called")
        )
        rules = []
        for rule in told.derived_rules:
            if rule.rule and self._passes("rule", rule.rule, self._flaw_of_rule(rule)):
                cited = self.cited(rule.steps)
                called = dict.fromkeys(name for number in cited for name in self._called.get(number, ()))
                rules.append(DerivedRule(rule=rule.rule, steps=tuple(map(str, cited)), tools=tuple(called)))
        return CheckedNotes(tools, tuple(rules))

    def cited(self, texts: Iterable[str]) -> list[int]:
        """The existing steps among what was cited; a model may cite as "3" or "step 3", and invents the rest."""
        numbers = [match.group(1) for text in texts if (match := _CITED.fullmatch(text.strip())) is not None]
        return list(dict.fromkeys(int(number) for number in numbers if 1 <= int(number) <= self._last))

    def _flaw_of_event(self, event: KeyEvent) -> str | None:
        """What the log has against an event."""
        numbers = self.cited([event.step])
        if not numbers:
            return f"there is no step {event.step!r}"
        number = numbers[0]
        source, failed = self._source(number), self._failed.get(number)
        if (lacking := source.lacks(f"{event.description} {event.outcome}")) is not None:
            return f"step {number} does not show {lacking!r}"
        if failed and _SUCCESS.search(event.outcome) and not _FAILURE.search(event.outcome):
            return f"step {number} failed"
        if failed is False and _FAILURE.search(event.outcome) and not source.says(_FAILURE):
            return f"step {number} did not fail"
        return None

    def _flaw_of_rule(self, rule: Rule) -> str | None:
        if not self.cited(rule.steps):
            return "it cites no step of the log"
        lacking = self._all.lacks(rule.rule)
        return None if lacking is None else f"the log does not show {lacking!r}"

    def _source(self, number: int) -> Source:
        """What a claim about one step may rest on."""
        if number in self._steps:
            return Source(self._task, self._steps[number])
        return Source(self._task, *self._known)

    def _sentences(self, text: str, what: str, *, numbers: bool = True) -> str:
        """The sentences that the log bears out."""
        sentences = _SENTENCE.split(text)
        kept = [one for one in sentences if self._passes(what, one, self._flaw_of_sentence(one, numbers=numbers))]
        return " ".join(kept).strip()

    def _flaw_of_sentence(self, sentence: str, *, numbers: bool) -> str | None:
        if self._progress and _NOTHING.search(sentence):
            return "steps have succeeded"
        if _OVER.search(sentence):
            return "the task is not finished"
        if (lacking := self._all.lacks(sentence, numbers=numbers)) is not None:
            return f"the log does not show {lacking!r}"
        cited = (int(number) for match in _STEP.finditer(sentence) for number in re.findall(r"\d+", match.group()))
        beyond = next((number for number in cited if number > self._last), None)
        return None if beyond is None else f"there is no step {beyond}"

    def _passes(self, what: str, text: str, flaw: str | None) -> bool:
        """Whether there is no flaw; one is noted."""
        if flaw is not None:
            self.dropped.append(f"{what} left out, since {flaw}: {text[:80]}")
        return flaw is None


def _remembered(memory: Memory | None) -> list[str]:
    """The words of an earlier memory, and its ledger."""
    if memory is None:
        return []
    episodic, working = memory.episodic, memory.working
    return [
        *(line(entry) for entry in memory.ledger),
        episodic.task_description,
        episodic.current_progress,
        *(f"{event.description} {event.outcome}" for event in episodic.key_events),
        working.current_challenges,
        *(f"{tool.tool_name} {tool.response_pattern} {tool.experience}" for tool in memory.tool.tools_used),
        *(rule.rule for rule in memory.tool.derived_rules),
    ]


def _called(step: Step) -> str:
    """The tool calls that code made in a step."""
    return " ".join(
        f"{use.called.name} {use.called.arguments} {use.returned.result if use.returned else ''}" for use in step.uses
    )


def _exact(text: str) -> Iterator[str]:
    """What a text names word for word: quoted words, identifiers, addresses."""
    for match in _QUOTED.finditer(text):
        yield " ".join(next(group for group in match.groups() if group).split())
    for match in _NAME.finditer(text):
        if not _NO_NAME.fullmatch(match.group()):
            yield match.group()


def _plain(number: str) -> str:
    """A number without thousands' commas and empty decimals, so that 1,200.0 and 1200 are one."""
    number = number.replace(",", "")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"
