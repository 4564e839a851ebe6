"""Supervised fine-tuning on TRL: the loss is on what the model wrote, and on nothing that it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from deepagent.training.sequences import TrainingSequence
from deepagent.training.shared import share_beginnings

IGNORED = -100
"""Label of a token that carries no loss."""


def rows(sequences: Sequence[TrainingSequence]) -> list[dict[str, list[int]]]:
    """Sequences as TRL takes tokenised data; `labels` are `IGNORED` where the model wrote nothing."""
    return [
        {
            "input_ids": [*one.prompt_ids, *one.completion_ids],
            "labels": [IGNORED] * len(one.prompt_ids)
            + [id if written else IGNORED for id, written in zip(one.completion_ids, one.generated, strict=True)],
        }
        for one in sequences
    ]


def sft_trainer(
    network: Any, tokenizer: Any, sequences: Sequence[TrainingSequence], args: SFTConfig, **options: Any
) -> SFTTrainer:
    """A trainer over sequences.

    Args:
        network: the model.
        tokenizer: its tokenizer.
        sequences: demonstrations, or collected runs.
        args: TRL's settings.
        options: what else `SFTTrainer` takes, such as `peft_config`.
    """
    trainer = SFTTrainer(
        model=network,
        args=args,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows(sequences)),
        **options,
    )
    share_beginnings(trainer.model)
    return trainer
