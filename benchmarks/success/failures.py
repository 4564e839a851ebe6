"""Why an episode failed, by rule: the first class that holds, from what the log shows.

The rules read the log alone, so they hold for every framework; what they cannot tell apart is called reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

from deepagent.actions import Call, Execute, Malformed
from deepagent.doubts import numbers
from deepagent.evaluation.base import BenchmarkTask
from deepagent.runs.events import Event, Status
from deepagent.runs.steps import Step, steps

Failure = Literal["limit", "loop", "format", "gave up", "nothing tried", "wrong tool", "invented value", "reasoning"]
FAILURES: tuple[Failure, ...] = get_args(Failure)
_GAVE_UP = re.compile(
    r"(?i)\b(?:cannot|can't|could not|couldn't|unable|not possible|don't know|do not know|no (?:information|answer)"
    r"|unknown|sorry|not found|n/?a)\b|^\W*(?:none|null)\W*$|Traceback|\w+Error\b|^\s*error\b"
)
_LOOPED = 3
"""Steps that repeated earlier ones."""


def failure(task: BenchmarkTask, answer: str | None, status: Status, events: Sequence[Event]) -> Failure:
    """The class of a failed episode.

    Args:
        task: the task.
        answer: what was answered, also where it had to be demanded; None: nothing was.
        status: how it ended.
        events: its log.
    """
    made = steps(events)
    seen = [step for step in made if step.observation is not None]
    repeated = sum(step.observation.repeats is not None for step in seen if step.observation)
    broken = sum(isinstance(step.action, Malformed) for step in seen)
    if repeated >= _LOOPED:
        return "loop"
    if broken * 2 > max(1, len(seen)):
        return "format"
    if status != "answered":
        return "limit"
    if not (answer or "").strip() or _GAVE_UP.search(answer or ""):
        return "gave up"
    if not any(isinstance(step.action, Call | Execute) for step in made):
        return "nothing tried"
    if _wanted(task) - _used(made):
        return "wrong tool"
    return "invented value" if _invented(task, answer or "", made) else "reasoning"


def _wanted(task: BenchmarkTask) -> set[str]:
    """Tools that the task's own data says are needed; none where it does not say."""
    gold = task.data.get("gold")
    if isinstance(gold, list):  # API-Bank's calls
        return {one["name"] for one in gold if isinstance(one, dict)}
    return set(task.data.get("tools", ()))  # ToolHop's functions


def _used(made: Sequence[Step]) -> set[str]:
    calls = {step.action.name for step in made if isinstance(step.action, Call)}
    return calls | {use.called.name for step in made for use in step.uses}


def _invented(task: BenchmarkTask, answer: str, made: Sequence[Step]) -> bool:
    """Whether the answer holds a number that neither the task nor any result does."""
    results = [step.observation.text for step in made if step.observation]
    results += [use.returned.result for step in made for use in step.uses if use.returned]
    known = {one for text in (task.prompt, *results) for one in numbers(text)}
    return any(one >= 10 and one not in known for one in numbers(answer))
