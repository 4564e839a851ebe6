"""From the log of a run to the token sequences that training sees.

A run with k folds is k+1 windows, and each window is one sequence: its opening is the prompt; what the model wrote and
what was appended is the completion. A reply that was left out of the stream, because it invented a result, repeated
itself or came to nothing, was still the policy's choice: it is a sequence of its own, behind the stream as it stood.

Tokens are those that the server generated, never tokenised again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from deepagent.actions import Call, Execute, Fold
from deepagent.errors import TrainingError
from deepagent.runs.events import Event, Intended, Noticed, Observed, Replied, WindowOpened
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
        generated: whether the model wrote the token; only such tokens carry loss.
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
    starts = _action_starts(events)
    streams: list[_Stream] = []
    reply: list[Segment] = []  # of the step that has no outcome yet
    step = NO_STEP
    for event in events:
        if isinstance(event, WindowOpened):
            if streams:  # a reply that asked for the fold closes the window
                streams[-1].write(reply, starts.get(step), step, decode)
            streams.append(_Stream(event.segments))
            reply = []
        elif isinstance(event, Replied):
            step = event.step
            reply.append(event.generated.segment)
        elif isinstance(event, Observed | Noticed):
            # Where an answer is demanded, the window does not hold what the model wrote last and nobody dealt with.
            dropped = event.dropped if isinstance(event, Observed) else bool(reply)
            if dropped:
                streams.insert(-1, streams[-1].fork())
            streams[-2 if dropped else -1].write(reply, starts.get(step), step, decode)
            streams[-1].show(event.segment)
            reply = []
    if streams:
        streams[-1].write(reply, starts.get(step), step, decode)
    return [stream.sequence() for stream in streams if any(stream.generated)]


def _action_starts(events: Sequence[Event]) -> dict[int, int]:
    """For each step that calls, executes or folds: where its action begins, in characters of the whole reply."""
    texts: dict[int, str] = {}
    starts: dict[int, int] = {}
    for event in events:
        if isinstance(event, Replied):
            texts[event.step] = texts.get(event.step, "") + event.generated.segment.text
        elif isinstance(event, Intended) and isinstance(event.action, Call | Execute | Fold) and event.step in texts:
            text = texts[event.step]
            starts[event.step] = len(text) - len(text.lstrip()) + len(event.thought)
    return starts


class _Stream:
    """A window as it grows: the columns of a `TrainingSequence`."""

    def __init__(self, opening: Sequence[Segment]) -> None:
        self._prompt = [token for segment in opening for token in _ids(segment)]
        self._ids: list[int] = []
        self.generated: list[bool] = []
        self._actions: list[int] = []
        self._logprobs: list[float] = []

    def fork(self) -> _Stream:
        """The stream as it stands, nothing of it to be learnt from: what follows is."""
        other = _Stream(())
        other._prompt = self._prompt.copy()
        other._append(self._ids)
        return other

    def show(self, segment: Segment) -> None:
        """Append what the model did not write."""
        self._append(_ids(segment))

    def write(self, reply: Sequence[Segment], start: int | None, step: int, decode: Decode) -> None:
        """Append a reply, which may have come in several parts.

        Args:
            reply: its parts.
            start: character at which its action begins; None where it holds none that counts.
            step: the step that it is.
            decode: finds the token of a character.
        """
        for segment in reply:
            ids, logprobs = _ids(segment), _logprobs(segment)
            first = len(ids) if start is None else _first_token(ids, start, decode)
            drawn = [value is not None for value in logprobs]  # the rest of a token that was cut was not drawn
            actions = [step if at >= first and drawn[at] else NO_STEP for at in range(len(ids))]
            self._append(ids, drawn, actions, [0.0 if value is None else value for value in logprobs])
            start = None if start is None else start - len(segment.text)

    def sequence(self) -> TrainingSequence:
        """What has been put together."""
        return TrainingSequence(
            prompt_ids=tuple(self._prompt),
            completion_ids=tuple(self._ids),
            generated=tuple(self.generated),
            actions=tuple(self._actions),
            logprobs=tuple(self._logprobs),
        )

    def _append(
        self,
        ids: Sequence[int],
        generated: Sequence[bool] = (),
        actions: Sequence[int] = (),
        logprobs: Sequence[float] = (),
    ) -> None:
        self._ids += ids
        self.generated += generated or [False] * len(ids)
        self._actions += actions or [NO_STEP] * len(ids)
        self._logprobs += logprobs or [0.0] * len(ids)


def _first_token(ids: Sequence[int], start: int, decode: Decode) -> int:
    """Index of the first token with text behind character `start`. Decoded prefixes only ever grow."""
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
