"""From the log of a run to the token sequences that training sees.

Every reply is learnt from once, behind the very tokens that the model was sent for it. As long as each prompt goes on
from the one before and its reply, they are one sequence; where it does not, another begins. So a run with k folds is
k+1 sequences. A reply that was left out of the stream, because it invented a result, repeated itself or came to
nothing, was still the policy's choice: it ends a sequence, and the next one goes on from the stream without it.

Tokens are those that the server generated, never tokenised again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import is_

from deepagent.actions import Call, Execute, Fold
from deepagent.errors import TrainingError
from deepagent.runs.events import Event, Intended, Replied, WindowOpened
from deepagent.runs.progress import Progress
from deepagent.transcript import Segment

Decode = Callable[[Sequence[int]], str]
"""The tokenizer's decoder, control tokens included."""

NO_STEP = 0
"""In `TrainingSequence.actions`: the token belongs to no action. Steps are numbered from 1."""


@dataclass(frozen=True)
class TrainingSequence:
    """One window of a run as training sees it. All fields about the completion are as long as it.

    Attributes:
        prompt_ids: the window's opening; after a fold also the memory.
        completion_ids: everything after it, observations included.
        generated: whether the token is to be learnt from: the model wrote it, and no earlier sequence holds it.
        actions: number of the step whose call, code or fold the token spells; `NO_STEP` for thoughts, searches, answers
            and everything that the model did not write. This is M(y_i) of DeepAgent, eq. 7, with the step kept.
        logprobs: natural-log probability of each generated token when it was drawn; 0 elsewhere.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    generated: tuple[bool, ...]
    actions: tuple[int, ...]
    logprobs: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.generated), len(self.actions), len(self.logprobs)}
        if lengths != {len(self.completion_ids)}:
            raise TrainingError(f"a completion of {len(self.completion_ids)} tokens has columns of {sorted(lengths)}")


def sequences(events: Iterable[Event], decode: Decode) -> list[TrainingSequence]:
    """The training sequences of one run, as they were written; those without a generated token are left out.

    Args:
        events: the run's log, complete or not.
        decode: turns token ids into text, to find where in a reply the action begins.

    Raises:
        TrainingError: the server did not report token ids or log-probabilities.
    """
    events = list(events)
    starts, progress = _action_starts(events), Progress()
    rows: list[_Row] = []
    opening = 0
    for event in events:
        if isinstance(event, WindowOpened):
            opening = len(event.segments)
        elif isinstance(event, Replied):
            sent, reply = progress.prompt().segments, event.generated.segment
            if not rows or not rows[-1].leads_to(sent):
                rows.append(_Row(opening))
            rows[-1].show(sent)
            # A reply may come in several parts.
            start = starts.get(event.step)
            rows[-1].learn(reply, event.step, None if start is None else _first_token(reply, start, decode))
            if start is not None:
                starts[event.step] = start - len(reply.text)
        progress.take(event)
    return [sequence for sequence in (row.sequence() for row in rows) if any(sequence.generated)]


def _action_starts(events: Sequence[Event]) -> dict[int, int]:
    """For each step that calls, executes or folds: where its action begins, in characters of the whole reply."""
    texts: dict[int, str] = {}
    starts: dict[int, int] = {}
    led = ""  # what the next thought is made to begin with
    for event in events:
        if isinstance(event, WindowOpened):
            led = event.begun
        elif isinstance(event, Replied):
            texts[event.step] = texts.get(event.step, "") + event.generated.segment.text
        elif isinstance(event, Intended) and event.step in texts:
            if isinstance(event.action, Call | Execute | Fold):
                text = texts[event.step]
                before = -len(led) if led and event.thought.startswith(led) else len(text) - len(text.lstrip())
                starts[event.step] = before + len(event.thought)
            led = ""
    return starts


class _Row:
    """A sequence as it grows.

    Args:
        opening: how many segments are the prompt.
    """

    def __init__(self, opening: int) -> None:
        self._opening = opening
        self._segments: list[Segment] = []
        self._learnt: dict[int, tuple[int, int | None]] = {}  # by place: the step, and its first token that acts

    def leads_to(self, sent: Sequence[Segment]) -> bool:
        """Whether what was sent goes on from here."""
        return len(sent) >= len(self._segments) and all(map(is_, self._segments, sent))

    def show(self, sent: Sequence[Segment]) -> None:
        """Append what was sent beyond what is here."""
        self._segments += sent[len(self._segments) :]

    def learn(self, reply: Segment, step: int, acts: int | None) -> None:
        """Append what the model wrote; `acts` is its first token that belongs to an action, if any does."""
        self._learnt[len(self._segments)] = step, acts
        self._segments.append(reply)

    def sequence(self) -> TrainingSequence:
        """What has been put together."""
        prompt = [token for segment in self._segments[: self._opening] for token in _ids(segment)]
        ids: list[int] = []
        generated: list[bool] = []
        actions: list[int] = []
        logprobs: list[float] = []
        for place, segment in enumerate(self._segments[self._opening :], self._opening):
            new = _ids(segment)
            ids += new
            if place not in self._learnt:
                generated += [False] * len(new)
                actions += [NO_STEP] * len(new)
                logprobs += [0.0] * len(new)
                continue
            step, acts = self._learnt[place]
            first = len(new) if acts is None else acts
            drawn = [value is not None for value in _logprobs(segment)]  # the rest of a token that was cut was not
            generated += drawn
            actions += [step if at >= first and drawn[at] else NO_STEP for at in range(len(new))]
            logprobs += [0.0 if value is None else value for value in _logprobs(segment)]
        return TrainingSequence(tuple(prompt), tuple(ids), tuple(generated), tuple(actions), tuple(logprobs))


def _first_token(reply: Segment, start: int, decode: Decode) -> int:
    """Index of the first token with text behind character `start`. Decoded prefixes only ever grow."""
    ids = _ids(reply)
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if len(decode(ids[: middle + 1])) > start:
            high = middle
        else:
            low = middle + 1
    return low


def _ids(segment: Segment) -> tuple[int, ...]:
    if segment.token_ids is None:
        raise TrainingError("the run has no token ids; its model must be behind a server that speaks tokens")
    return segment.token_ids


def _logprobs(segment: Segment) -> tuple[float | None, ...]:
    if segment.logprobs is None or len(segment.logprobs) != len(_ids(segment)):
        raise TrainingError("a reply has no log-probabilities; roll out with `sampling: {logprobs: true}`")
    return segment.logprobs
