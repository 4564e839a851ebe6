"""Training steps on a tiny model: TRL computes our loss, and only what the model wrote is learnt from."""

import asyncio
from pathlib import Path

import pytest
import torch

from deepagent.models.base import Sampling
from deepagent.models.transformers import TransformersModel
from deepagent.runs.store import RunStore
from deepagent.training.families.lookup import Lookup, LookupConfig
from deepagent.training.rollouts import Rollouts
from deepagent.training.toolpo import ToolPOConfig, clipped_loss
from tests.training.conftest import AGENT, Arbitrary

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def made(tiny: Path, tmp_path: Path):
    """A trainer on a tiny model, and its network."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("trl", reason="needs the extra `train`")
    from trl import GRPOConfig

    from deepagent.training.trainer import ToolPOTrainer

    network = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    family = Arbitrary(LookupConfig(split="train", tasks=4))
    trainer = ToolPOTrainer(
        model=network,
        processing_class=tokenizer,
        args=GRPOConfig(
            output_dir=str(tmp_path / "out"),
            use_cpu=True,
            bf16=False,
            num_generations=2,
            max_steps=2,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            learning_rate=1e-3,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            loss_type="dapo",
            gradient_checkpointing=False,
            beta=0.0,
            temperature=1.0,
            logging_steps=1,
        ),
        tasks=family.tasks(),
        rollouts=Rollouts(
            family,
            AGENT,
            Sampling(temperature=1.0, max_tokens=12),
            tmp_path / "runs.sqlite",
            tokenizer.decode,
        ),
        toolpo=ToolPOConfig(),
        writer=lambda net, step: TransformersModel("tiny", net, tokenizer, turns=True),
    )
    trainer.current_gradient_accumulation_steps = 2  # as the training loop sets it
    return trainer, network


def test_two_steps_change_the_weights_and_report_what_the_rollouts_were_like(made):
    trainer, network = made
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trainer.train()
    assert any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())
    logged = [row for row in trainer.state.log_history if "rollouts/success" in row]
    assert len(logged) == 2
    assert all(row["rollouts/tokens"] > 0 for row in logged)


def batch_of(trainer) -> dict[str, torch.Tensor]:
    rows = [{"task": id, "prompt": ""} for id in list(trainer._tasks)[:2] for _ in range(2)]
    trainer.model.train()
    return trainer._generate_and_score_completions(rows)


def some_advantages(batch: dict[str, torch.Tensor]) -> None:
    """A random model is all zero reward: without differences there would be nothing to learn."""
    chance = torch.Generator().manual_seed(0)
    batch["advantages"] = torch.randn(batch["advantages"].shape, generator=chance)


def test_trl_computes_our_loss(made):
    trainer, network = made
    batch = batch_of(trainer)
    some_advantages(batch)
    batch["old_per_token_logps"] = batch["old_per_token_logps"] - 0.3 * torch.rand_like(batch["advantages"])
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    positions = (attention.cumsum(-1) - 1).clamp(min=0)
    logits = network(input_ids=ids, attention_mask=attention, position_ids=positions).logits.log_softmax(-1)
    length = batch["completion_ids"].shape[1]
    ours = logits[:, -length - 1 : -1].gather(-1, batch["completion_ids"][..., None])[..., 0]
    mask = batch["completion_mask"] * batch["tool_mask"]
    expected = clipped_loss(
        ours, batch["old_per_token_logps"], batch["advantages"], mask.float(), mask.sum(), ToolPOConfig()
    )
    found = trainer._compute_loss(network, batch)
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_log_probabilities_of_the_rollouts_are_the_trainers_own(made):
    trainer, network = made
    batch = batch_of(trainer)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    found = trainer._get_per_token_logps_and_entropies(network, ids, attention, batch["completion_ids"].shape[1])[0]
    mask = (batch["completion_mask"] * batch["tool_mask"]).bool()
    assert mask.any()
    torch.testing.assert_close(found[mask], batch["old_per_token_logps"][mask], atol=1e-4, rtol=0)


def test_what_was_shown_has_no_gradient(made):
    """Another observation as the *target* of a prediction changes nothing: only its place as context counts."""
    trainer, network = made
    batch = batch_of(trainer)
    some_advantages(batch)

    def gradient(advantages: torch.Tensor) -> torch.Tensor:
        network.zero_grad()
        trainer._compute_loss(network, batch | {"advantages": advantages}).backward()
        return torch.cat([value.grad.flatten() for value in network.parameters()])

    shown = (batch["completion_mask"] * batch["tool_mask"]) == 0
    assert shown.any()
    louder = torch.where(shown, batch["advantages"] * 100 + 7, batch["advantages"])
    assert torch.equal(gradient(batch["advantages"]), gradient(louder))


def test_processes_have_the_same_number_of_rows_whatever_their_folds():
    from deepagent.training.batches import tensors
    from deepagent.training.sequences import TrainingSequence

    row = (TrainingSequence((1,), (2, 3), (True, False), (0, 0), (0.0, 0.0)), (1.0, 0.0))
    for count in range(9):
        batch = tensors([row] * count, padding=0, multiple=4)
        assert len(batch["prompt_ids"]) % 4 == 0 < len(batch["prompt_ids"])
        assert batch["tool_mask"].sum() == count


def test_rollouts_run_at_the_same_time_and_can_be_looked_at(tiny: Path, tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    network = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    family = Lookup(LookupConfig(split="train", tasks=2))
    sampling = Sampling(temperature=1.0, max_tokens=12)
    rollouts = Rollouts(family, AGENT, sampling, tmp_path / "runs.sqlite", tokenizer.decode)
    model = TransformersModel("tiny", network, tokenizer, turns=True)
    groups = asyncio.run(rollouts.groups(model, family.tasks(), 3, seed=5))
    again = asyncio.run(rollouts.groups(model, family.tasks(), 3, seed=5))
    assert [len(group) for group in groups] == [3, 3]
    with RunStore(tmp_path / "runs.sqlite") as store:
        for one in (one for group in groups for one in group):
            assert store.events(one.run)[-1].event.kind == "ended"
    drawn = [[one.rollout.sequences[0].completion_ids for one in group] for group in groups]
    assert drawn == [[one.rollout.sequences[0].completion_ids for one in group] for group in again], "a seed decides"
    assert len(set(drawn[0])) > 1, "rollouts of a group differ"
