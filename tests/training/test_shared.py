"""What all rows begin with is read once: values and gradients are those of reading every row whole."""

from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")
pytest.importorskip("trl", reason="needs the extra `train`")

from trl.trainer.utils import add_fused_lm_head  # noqa: E402

from deepagent.training.batches import tensors  # noqa: E402
from deepagent.training.sequences import TrainingSequence  # noqa: E402
from deepagent.training.shared import share_beginnings  # noqa: E402


def row(prompt: list[int], completion: list[int]) -> TrainingSequence:
    length = len(completion)
    return TrainingSequence(tuple(prompt), tuple(completion), (True,) * length, (0,) * length, (0.0,) * length)


CASES = {
    "one group": [row([5, 6, 7, 8], [9] * length) for length in (3, 1, 4)],
    "tasks that differ": [row([5, 6, 7, *rest], [8, 9, 10]) for rest in ([11], [12, 13], [14, 15, 16])],
    "a prompt within another": [row([5, 6], [7, 8]), row([5, 6, 7, 8], [9])],
    "nothing alike": [row([5, 6], [7, 8, 9]), row([6, 5, 4], [7])],
    "one row": [row([5, 6, 7], [8, 9])],
    "many rows": [row([5, 6, 7, 8, number], [9, number] * (number % 5 + 1)) for number in range(20)],
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_reading_every_row(tiny: Path, name: str):
    network = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    add_fused_lm_head(network, outputs=("log_probs", "entropy"))
    batch = tensors([(one, [1.0] * len(one.completion_ids)) for one in CASES[name]], padding=0, multiple=3)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    keep = batch["completion_ids"].shape[1]
    weights = torch.rand((len(ids), ids.shape[1] - 1), generator=torch.Generator().manual_seed(0))

    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :-keep] = -100
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    plain = {"input_ids": ids, "attention_mask": mask, "labels": labels, "fused_lm_head": True}

    def gradient(values: torch.Tensor) -> torch.Tensor:
        network.zero_grad()
        (values * weights).sum().backward()
        return torch.cat([value.grad.flatten() for value in network.parameters()])

    expected = network(**plain, position_ids=positions)
    gradients = gradient(expected.log_probs)
    share_beginnings(network)
    found = network(**plain)
    for name in ("log_probs", "entropy"):
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=0)
    assert torch.equal(found.label_mask, expected.label_mask)
    torch.testing.assert_close(gradient(found.log_probs), gradients, atol=1e-5, rtol=1e-4)
