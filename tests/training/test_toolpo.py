"""Advantages and loss against a slow oracle, written from the paper's equations."""

import math
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent.errors import TrainingError
from deepagent.training.sequences import NO_STEP, TrainingSequence
from deepagent.training.toolpo import Rollout, ToolPOConfig, advantages, clipped_loss, fold_preferences


def sequence_of(generated: list[bool], actions: list[int]) -> TrainingSequence:
    length = len(generated)
    return TrainingSequence((1, 2), tuple(range(length)), tuple(generated), tuple(actions), (0.0,) * length)


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """A rollout of several windows, steps numbered through all of them."""
    step, windows, calls, folds = 0, [], {}, set()
    for number in range(draw(st.integers(1, 4))):
        generated: list[bool] = []
        actions: list[int] = []
        for _ in range(draw(st.integers(1, 3))):
            step += 1
            thought, acting, seen = draw(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)))
            generated += [True] * (thought + acting) + [False] * seen
            actions += [NO_STEP] * thought + [step] * acting + [NO_STEP] * seen
            if draw(st.booleans()):
                calls[step] = draw(st.sampled_from([0.0, 0.5, 1.0]))
        if number:
            folds.add(step)
            calls.pop(step, None)
        windows.append(sequence_of(generated, actions))
    return Rollout(
        windows,
        success=draw(st.floats(0, 1)),
        calls=calls,
        folds=frozenset(folds),
        fold_preference=draw(st.floats(-1, 1)),
    )


groups = st.lists(rollouts(), min_size=1, max_size=5)
weights = st.builds(
    ToolPOConfig,
    call_weight=st.floats(0, 2),
    fold_weight=st.floats(0, 2),
    credit=st.sampled_from(["trajectory", "call"]),
)


def oracle_advantage(group: list[Rollout], k: int, written: bool, step: int, config: ToolPOConfig) -> float:
    """One token's advantage, straight from eq. 4-7 (or, per call, from the sentence in the docstring)."""
    if not written:
        return 0.0
    mine = group[k]
    total = mine.success - math.fsum(one.success for one in group) / len(group)
    if step == NO_STEP:
        return total
    if config.credit == "trajectory":

        def reward(one: Rollout) -> float:
            return config.call_weight * math.fsum(one.calls.values()) + config.fold_weight * one.fold_preference

        return total + reward(mine) - math.fsum(reward(one) for one in group) / len(group)
    if step in mine.folds:
        usual = math.fsum(one.fold_preference for one in group) / len(group)
        return total + config.fold_weight * (mine.fold_preference - usual)
    if step in mine.calls:
        everyone = [right for one in group for right in one.calls.values()]
        return total + config.call_weight * (mine.calls[step] - math.fsum(everyone) / len(everyone))
    return total


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(groups, weights)
def test_advantages_equal_the_oracle(group: list[Rollout], config: ToolPOConfig):
    for k, (rollout, found) in enumerate(zip(group, advantages(group, config), strict=True)):
        for sequence, row in zip(rollout.sequences, found, strict=True):
            expected = [
                oracle_advantage(group, k, written, step, config)
                for written, step in zip(sequence.generated, sequence.actions, strict=True)
            ]
            assert row == pytest.approx(expected, abs=1e-9)


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(groups, weights)
def test_what_the_model_did_not_write_has_no_advantage(group: list[Rollout], config: ToolPOConfig):
    for rollout, found in zip(group, advantages(group, config), strict=True):
        for sequence, row in zip(rollout.sequences, found, strict=True):
            assert not any(value for value, written in zip(row, sequence.generated, strict=True) if not written)


def test_a_rollout_like_all_others_teaches_nothing():
    same = Rollout([sequence_of([True, True], [NO_STEP, 1])], success=1.0, calls={1: 1.0})
    assert advantages([same, same, same], ToolPOConfig()) == [[[0.0, 0.0]]] * 3


def test_one_wrong_call_in_a_good_rollout_is_blamed_only_by_call_credit():
    good = Rollout([sequence_of([True, True], [1, 2])], success=1.0, calls={1: 1.0, 2: 0.0})
    poor = Rollout([sequence_of([True], [1])], success=0.0, calls={1: 0.0})
    ((right, wrong),), _ = advantages([good, poor], ToolPOConfig(credit="call"))
    assert right > 0.5 > wrong
    ((first, second),), _ = advantages([good, poor], ToolPOConfig())
    assert first == second == 1.0


def test_an_empty_group_is_refused():
    with pytest.raises(TrainingError, match="no rollouts"):
        advantages([], ToolPOConfig())


class TestFoldPreference:
    def test_cheaper_than_direct_is_preferred(self):
        assert fold_preferences([300, 100], [False, True], [True, True]) == [0.0, 0.5]

    def test_dearer_than_direct_is_not(self):
        assert fold_preferences([100, 300], [False, True], [True, True]) == [0.0, -0.5]

    def test_failing_early_is_never_preferred(self):
        assert fold_preferences([300, 10], [False, True], [True, False]) == [0.0, 0.0]

    def test_without_a_direct_success_there_is_nothing_to_compare_with(self):
        assert fold_preferences([300, 10], [False, True], [False, True]) == [0.0, 0.0]

    @given(st.lists(st.tuples(st.floats(0, 1e9), st.booleans(), st.booleans()), max_size=8))
    def test_it_lies_between_minus_one_and_one(self, group: list[tuple[float, bool, bool]]):
        costs, folded, solved = ([row[n] for row in group] for n in range(3))
        assert all(-1 <= value <= 1 for value in fold_preferences(costs, folded, solved))


def oracle_loss(logprobs, old, advantage, mask, total, config):
    """Eq. 8 token by token, and its gradient by hand."""
    loss, gradient = 0.0, [[0.0] * len(row) for row in logprobs]
    for i, row in enumerate(logprobs):
        for t, value in enumerate(row):
            if not mask[i][t]:
                continue
            ratio, gain = math.exp(value - old[i][t]), advantage[i][t]
            clipped = min(max(ratio, 1 - config.clip_low), 1 + config.clip_high)
            loss -= min(ratio * gain, clipped * gain) / total
            if ratio * gain <= clipped * gain:  # the unclipped term is the minimum: d(ratio)/d(logprob) = ratio
                gradient[i][t] = -ratio * gain / total
    return loss, gradient


def random_batch(seed: int, rows: int = 5, length: int = 7):
    chance = random.Random(seed)
    table = lambda low, high: [[chance.uniform(low, high) for _ in range(length)] for _ in range(rows)]  # noqa: E731
    mask = [[float(chance.random() < 0.6) for _ in range(length)] for _ in range(rows)]
    return table(-3, 0), table(-3, 0), table(-2, 2), mask


@pytest.mark.parametrize("seed", range(20))
def test_loss_and_gradient_equal_the_oracle(seed: int):
    config = ToolPOConfig(clip_low=0.2, clip_high=0.28)
    new, old, gains, mask = random_batch(seed)
    total = sum(map(sum, mask))
    logprobs = torch.tensor(new, dtype=torch.float64, requires_grad=True)
    others = (torch.tensor(table, dtype=torch.float64) for table in (old, gains, mask))
    loss = clipped_loss(logprobs, *others, total, config)
    loss.backward()
    expected, gradient = oracle_loss(new, old, gains, mask, total, config)
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(logprobs.grad, torch.tensor(gradient, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_micro_batches_add_up_to_the_whole(size: int):
    new, old, gains, mask = (torch.tensor(table, dtype=torch.float64) for table in random_batch(3))
    total, config = mask.sum(), ToolPOConfig()
    whole = clipped_loss(new, old, gains, mask, total, config)
    parts = zip(*(table.split(size) for table in (new, old, gains, mask)), strict=True)
    assert sum(clipped_loss(*part, total, config) for part in parts).item() == pytest.approx(whole.item(), abs=1e-12)


def test_padding_changes_nothing_whatever_stands_in_it():
    new, old, gains, mask = (torch.tensor(table, dtype=torch.float64) for table in random_batch(4))
    total, config = mask.sum(), ToolPOConfig()
    fills = (1e4, -1e4, 7.0, 0.0)
    padded = [
        torch.nn.functional.pad(table, (0, 3, 0, 2), value=fill)
        for table, fill in zip((new, old, gains, mask), fills, strict=True)
    ]
    whole = clipped_loss(new, old, gains, mask, total, config)
    torch.testing.assert_close(clipped_loss(*padded, total, config), whole, atol=1e-12, rtol=0)
