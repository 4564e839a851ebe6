"""What a run was worth, apart from whether it solved its task: which of its calls were right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deepagent.actions import Action, Call, Execute
from deepagent.runs.steps import Step


def call_rewards(steps: Iterable[Step], gold: Sequence[Action] | None) -> dict[int, float]:
    """C(a_t^call) of every step that called a tool or ran code, 0 to 1.

    The paper leaves open what a correct call is. Here: where the way to the answer is known, a call is right when it is
    one of the calls on that way, with the same arguments, made for the first time. Where it is not, a call is right
    when it names a tool, fits its schema and succeeds. Code is worth the share of its calls that are right; code that
    fails is worth nothing, and code that calls nothing and succeeds is worth what a right call is, unless the calls
    are known.

    Args:
        steps: of one run.
        gold: the actions of one who knows the way, or None.
    """
    open_calls = [(one.name, one.arguments) for one in gold if isinstance(one, Call)] if gold is not None else None

    def right(name: str, arguments: dict[str, object], error: str | None) -> bool:
        if open_calls is None or error is not None:
            return error is None
        if (name, arguments) not in open_calls:
            return False
        open_calls.remove((name, arguments))
        return True

    rewards: dict[int, float] = {}
    for step in steps:
        action, observation = step.action, step.observation
        if observation is None:
            continue
        if isinstance(action, Call):
            new = observation.repeats is None
            rewards[step.number] = float(new and right(action.name, action.arguments, observation.error))
        elif isinstance(action, Execute):
            made = [
                right(use.called.name, use.called.arguments, use.returned.error) for use in step.uses if use.returned
            ]
            worth = sum(made) / len(made) if made else float(open_calls is None)
            rewards[step.number] = worth if observation.ok else 0.0
    return rewards
