"""ToolPO: group-relative advantages with tool-call attribution, and the clipped loss.

DeepAgent, arXiv 2510.21618, section 3.5; equations are numbered as there.

Pure functions over rollouts and tensors; no trainer, no model. A rollout with k folds is k+1 sequences or more
(`deepagent.training.sequences`), which share the rollout's advantages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from deepagent.actions import Frozen
from deepagent.errors import TrainingError
from deepagent.training.sequences import NO_STEP, TrainingSequence

if TYPE_CHECKING:
    from torch import Tensor


class ToolPOConfig(Frozen):
    """What the method leaves open or sets.

    The paper gives both weights as 1, and no clipping range; 0.2 is PPO's.
    """

    call_weight: float = Field(1.0, ge=0)
    """lambda_1: weight of correct tool calls in the action reward."""
    fold_weight: float = Field(1.0, ge=0)
    """lambda_2: weight of the fold preference in the action reward."""
    credit: Literal["trajectory", "call"] = "trajectory"
    """`trajectory`: as in the paper, one action advantage per rollout, on all its action tokens. `call`: each call and
    each fold has its own."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.2, gt=0)


@dataclass(frozen=True)
class Rollout:
    """One finished run as the loss sees it.

    Attributes:
        sequences: its windows, in order.
        success: R_succ, the task's score; usually 0 to 1.
        calls: for each step that called a tool or ran code, whether that was right, 0 to 1: C(a_t^call).
        folds: the steps that folded.
        fold_preference: S_pref of this rollout, -1 to 1; see `fold_preferences`.
    """

    sequences: Sequence[TrainingSequence]
    success: float
    calls: Mapping[int, float] = field(default_factory=dict)
    folds: frozenset[int] = frozenset()
    fold_preference: float = 0.0

    def action_reward(self, config: ToolPOConfig) -> float:
        """R_action: eq. 4 of the paper, a sum over calls and therefore not bounded by 1."""
        return config.call_weight * sum(self.calls.values()) + config.fold_weight * self.fold_preference


def fold_preferences(costs: Sequence[float], folded: Sequence[bool], solved: Sequence[bool]) -> list[float]:
    """S_pref of each rollout of one group.

    The paper compares a trajectory that folds with one that does not, S = (L_direct - L_fold) / (L_direct + L_fold),
    and leaves L and the pairing open. Here L is the rollout's cost: the tokens that all its steps had to attend to,
    which grows with the square of a window and is what folding is there to save. L_direct is the mean cost of the
    group's rollouts that solved the task without folding. Only a rollout that folded *and* solved the task has a
    preference: failing early is cheap, and must not be preferred. Without such a direct rollout there is nothing to
    compare with, and the preference is 0.

    Args:
        costs: prompt tokens, summed over the requests of the rollout; at least 0.
        folded: whether it folded.
        solved: whether it solved the task.
    """
    direct = [cost for cost, fold, good in zip(costs, folded, solved, strict=True) if good and not fold]
    if not direct:
        return [0.0] * len(costs)
    usual = sum(direct) / len(direct)
    return [
        (usual - cost) / (usual + cost) if fold and good and usual + cost > 0 else 0.0
        for cost, fold, good in zip(costs, folded, solved, strict=True)
    ]


def advantages(group: Sequence[Rollout], config: ToolPOConfig) -> list[list[list[float]]]:
    """A(y_i) of every completion token: of each rollout, of each of its sequences.

    `A_succ + M(y_i) * A_action` (eq. 5-7): both are a reward minus the group's mean, not divided by its deviation.
    Tokens that the model did not write have 0. With `credit="call"` the second term is the step's own: how right this
    call was, against the mean over all calls of the group; for a fold, the rollout's preference against the group's.

    Args:
        group: the rollouts of one task.
        config: weights, and whose credit.

    Raises:
        TrainingError: the group is empty.
    """
    if not group:
        raise TrainingError("a group of no rollouts has no advantages")
    success = sum(rollout.success for rollout in group) / len(group)
    of_step = _by_call(group, config) if config.credit == "call" else _by_trajectory(group, config)
    return [
        [
            [
                rollout.success - success + (credit.get(step, 0.0) if step != NO_STEP else 0.0) if written else 0.0
                for written, step in zip(sequence.generated, sequence.actions, strict=True)
            ]
            for sequence in rollout.sequences
        ]
        for rollout, credit in zip(group, of_step, strict=True)
    ]


def _by_trajectory(group: Sequence[Rollout], config: ToolPOConfig) -> list[dict[int, float]]:
    rewards = [rollout.action_reward(config) for rollout in group]
    mean = sum(rewards) / len(rewards)
    return [
        dict.fromkeys((step for sequence in rollout.sequences for step in sequence.actions), reward - mean)
        for rollout, reward in zip(group, rewards, strict=True)
    ]


def _by_call(group: Sequence[Rollout], config: ToolPOConfig) -> list[dict[int, float]]:
    made = [right for rollout in group for right in rollout.calls.values()]
    usual = sum(made) / len(made) if made else 0.0
    preferred = sum(rollout.fold_preference for rollout in group) / len(group)
    return [
        {step: config.call_weight * (right - usual) for step, right in rollout.calls.items()}
        | dict.fromkeys(rollout.folds, config.fold_weight * (rollout.fold_preference - preferred))
        for rollout in group
    ]


def clipped_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    total: Tensor | float,
    config: ToolPOConfig,
) -> Tensor:
    """The negated objective of eq. 8, normalised by tokens: a scalar.

    The paper prints a plain sum over tokens. Divided by the number of loss tokens of the *whole* batch, over all
    processes and micro-batches, it is the same up to a constant, however the batch is split and however often a rollout
    folds.

    Args:
        logprobs: of the policy now, shape (sequences, tokens).
        old_logprobs: of the policy that drew the tokens, same shape.
        advantages: same shape.
        mask: 1 where the model wrote the token, same shape.
        total: loss tokens in the whole batch.
        config: the clipping range.
    """
    # Where nothing was written, the two may differ by anything: exp would overflow, and infinity times 0 is no number.
    ratio = (logprobs - old_logprobs).where(mask > 0, 0).exp()
    clipped = ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
    objective = (ratio * advantages).minimum(clipped * advantages)
    return -(objective * mask).sum() / total
