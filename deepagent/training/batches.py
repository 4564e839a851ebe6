"""Rollouts as padded tensors, in the form that TRL's GRPO trainer takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepagent.training.sequences import TrainingSequence

if TYPE_CHECKING:
    from torch import Tensor


def tensors(
    rows: Sequence[tuple[TrainingSequence, Sequence[float]]], *, padding: int, multiple: int = 1
) -> dict[str, Tensor]:
    """Sequences with the advantages of their tokens as one batch.

    Prompts are padded on the left and completions on the right. Rows are added until their number is a multiple of
    `multiple`: they carry no loss, but TRL drops a remainder without a word, and waits for ever where one process has
    fewer rows than another.

    Args:
        rows: each sequence with one advantage per completion token.
        padding: the token to pad with.
        multiple: what the number of rows is to be divisible by.

    Returns:
        `prompt_ids`, `prompt_mask` of shape (rows, longest prompt); `completion_ids`, `completion_mask` (1 where there
        is a token), `tool_mask` (1 where the model wrote it), `advantages`, `sampling_per_token_logps` of shape (rows,
        longest completion).
    """
    import torch

    prompt = rows[0][0].prompt_ids if rows else (padding,)  # as the others: what all begin with is read once
    empty = (TrainingSequence(prompt, (padding,), (False,), (0,), (0.0,)), (0.0,))
    missing = -len(rows) % multiple if rows else multiple
    whole = [*rows, *[empty] * missing]

    def left(values: Sequence[Sequence[int]], fill: int) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row) for row in values], batch_first=True, padding_value=fill, padding_side="left"
        )

    def right(values: Sequence[Sequence[float]], fill: float, dtype: torch.dtype) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row, dtype=dtype) for row in values], batch_first=True, padding_value=fill
        )

    return {
        "prompt_ids": left([one.prompt_ids for one, _ in whole], padding),
        "prompt_mask": left([[1] * len(one.prompt_ids) for one, _ in whole], 0),
        "completion_ids": right([one.completion_ids for one, _ in whole], padding, torch.long),
        "completion_mask": right([[1] * len(one.completion_ids) for one, _ in whole], 0, torch.long),
        "tool_mask": right([one.generated for one, _ in whole], 0, torch.long),
        "advantages": right([gains for _, gains in whole], 0.0, torch.float32),
        "sampling_per_token_logps": right([one.logprobs for one, _ in whole], 0.0, torch.float32),
    }
