"""ToolPO on TRL's GRPO trainer, which brings optimiser, schedule, checkpoints, LoRA and many processes.

Only the making of a batch is ours. `_generate_and_score_completions` is private to TRL, so its version is pinned and a
test compares the loss that TRL computes with our own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from deepagent.evaluation.base import BenchmarkTask
from deepagent.models.base import Model
from deepagent.models.transformers import TransformersModel
from deepagent.training.batches import tensors
from deepagent.training.rollouts import Finished, Rollouts
from deepagent.training.shared import share_beginnings
from deepagent.training.toolpo import ToolPOConfig, advantages
from deepagent.training.waiting import wait


class ToolPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer with the agent's own rollouts.

    Args:
        model: the policy, as `GRPOTrainer` takes it.
        args: its settings; `loss_type` dapo is the paper's sum over tokens, normalised over the whole batch.
        tasks: what is trained on.
        rollouts: makes rollouts.
        toolpo: weights and credit.
        writer: makes the model that writes rollouts, of the policy's network and the number of steps made so far.
        heard: told the rollouts of each batch, on every process.
        options: what else `GRPOTrainer` takes, such as `peft_config` and `callbacks`.
    """

    def __init__(
        self,
        *,
        model: Any,
        args: GRPOConfig,
        tasks: Sequence[BenchmarkTask],
        rollouts: Rollouts,
        toolpo: ToolPOConfig,
        writer: Callable[[Any, int], Model],
        heard: Callable[[Sequence[Sequence[Finished]]], None] = lambda groups: None,
        **options: Any,
    ) -> None:
        self._tasks = {task.id: task for task in tasks}
        self._rollouts = rollouts
        self._toolpo = toolpo
        self._writer = writer
        self._heard = heard
        super().__init__(
            model=model,
            args=args,
            reward_funcs=_no_reward,
            train_dataset=Dataset.from_list([{"prompt": task.prompt, "task": task.id} for task in tasks]),
            **options,
        )
        share_beginnings(self.model)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Roll out, and make the batch. TRL gives every task as often as its group is large, in a row."""
        size = self.num_generations
        ids = [row["task"] for row in inputs][::size]
        device = self.accelerator.device
        model = self._writer(self.accelerator.unwrap_model(self.model), self.state.global_step)
        seed = self.args.seed + 1_000_003 * self.state.global_step + 10_007 * self.accelerator.process_index
        with torch.random.fork_rng():  # sampling must not change what the trainer draws
            groups = wait(self._rollouts.groups(model, [self._tasks[id] for id in ids], size, seed))
        self._heard(groups)
        self._note(groups)
        rows = [
            (sequence, gains)
            for group in groups
            if group
            for finished, of_run in zip(group, advantages([one.rollout for one in group], self._toolpo), strict=True)
            for sequence, gains in zip(finished.rollout.sequences, of_run, strict=True)
        ]
        steps = self.args.steps_per_generation
        most = max(gather_object([len(rows)]))  # all processes must have the same number of rows
        batch = tensors(rows, padding=self._tokenizer.pad_token_id, multiple=steps * -(-max(most, 1) // steps))
        batch = {name: values.to(device) for name, values in batch.items()}
        mask = batch["completion_mask"] * batch["tool_mask"]
        batch["num_items_in_batch"] = self.accelerator.gather(mask.sum()).sum()
        # The policy that drew the tokens is the one that the first update starts from, so its log-probabilities are the
        # old ones; they are those at the sampling temperature, as TRL computes them.
        batch["old_per_token_logps"] = batch.pop("sampling_per_token_logps")
        if not isinstance(model, TransformersModel):
            self._note_gap(batch)
        return batch

    def _note_gap(self, batch: dict[str, torch.Tensor]) -> None:
        """Put among the metrics how far another program's log-probabilities are from those that the trainer finds.

        On the rows of the first micro-batch only, whose forward pass is made once more for it.
        """
        part = slice(len(batch["prompt_ids"]) // self.args.steps_per_generation)
        completion = batch["completion_ids"][part]
        ids = torch.cat([batch["prompt_ids"][part], completion], dim=1)
        attention = torch.cat([batch["prompt_mask"][part], batch["completion_mask"][part]], dim=1)
        with torch.no_grad():
            own, *_ = self._get_per_token_logps_and_entropies(self.model, ids, attention, completion.shape[1])
        written = batch["completion_mask"][part] * batch["tool_mask"][part]
        apart = (own - batch["old_per_token_logps"][part]).abs() * written
        total, count = self.accelerator.gather(torch.stack([apart.sum(), written.sum()])[None]).sum(0).tolist()
        if count:
            self._metrics["train"]["rollouts/logprob_gap"].append(total / count)

    def _note(self, groups: Sequence[Sequence[Finished]]) -> None:
        """Put what the rollouts were like among the metrics."""
        every = gather_object([one for group in groups for one in map(_facts, group)])
        if not every:
            return
        mode = "train" if self.model.training else "eval"
        for name in every[0]:
            self._metrics[mode][f"rollouts/{name}"].append(sum(facts[name] for facts in every) / len(every))


def _facts(one: Finished) -> dict[str, float]:
    rollout = one.rollout
    return {
        "success": rollout.success,
        "calls": float(len(rollout.calls)),
        "right_calls": sum(rollout.calls.values()) / max(1, len(rollout.calls)),
        "folds": float(len(rollout.folds)),
        "tokens": float(sum(sum(sequence.generated) for sequence in rollout.sequences)),
        "cost": one.cost,
    }


def _no_reward(**inputs: Any) -> list[float]:
    raise NotImplementedError("rewards come with the rollouts")
