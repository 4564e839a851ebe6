"""ToolPO whose rollouts a real vLLM server writes."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from deepagent.budget import Limits
from deepagent.models import Sampling
from deepagent.models.config import HttpConfig
from deepagent.models.tokenizer import LocalTokenizer
from deepagent.runs.events import Started
from deepagent.runs.store import RunStore
from deepagent.training.families.lookup import LookupConfig
from deepagent.training.recipe import Policy
from deepagent.training.rollouts import Rollouts
from deepagent.training.toolpo import ToolPOConfig
from tests.training.conftest import AGENT, Arbitrary
from tests.vllm.conftest import WEIGHTS

pytestmark = pytest.mark.filterwarnings("default")  # TRL warns of vLLM versions that its own client does not know
CONTEXT = 4096


@pytest.fixture
def trainer(url: str, tmp_path: Path):
    """Two steps on one task each, whose rewards are arbitrary, at a rate that changes the model much.

    Its `gaps` are the distances of the server's log-probabilities from the trainer's: with the adapter, and without.
    """
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig

    from deepagent.training.served import ServedPolicy
    from deepagent.training.trainer import ToolPOTrainer

    class Watched(ToolPOTrainer):
        gaps: ClassVar[list[tuple[float, float]]] = []

        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            batch = super()._generate_and_score_completions(inputs)
            noted = self._metrics["train"]["rollouts/logprob_gap"]
            with self.model.disable_adapter():
                self._note_gap(batch)
            without = noted.pop()
            self.gaps.append((noted[-1], without))
            return batch

    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    family = Arbitrary(LookupConfig(split="train", tasks=4))
    config = AGENT.model_copy(update={"example": False, "doubts": False, "limits": Limits(actions=1)})
    sampling = Sampling(temperature=1.0, max_tokens=16)
    decode = LocalTokenizer(tokenizer, "qwen").decode
    server = HttpConfig(kind="http", url=url)
    with ServedPolicy(server, Policy(context=CONTEXT), tmp_path / "adapters") as writer:
        yield Watched(
            model=AutoModelForCausalLM.from_pretrained(WEIGHTS, dtype=torch.float32),
            processing_class=tokenizer,
            args=GRPOConfig(
                output_dir=str(tmp_path / "out"),
                use_cpu=True,
                bf16=False,
                num_generations=4,  # of two, both may be worth the same, and nothing is learnt
                max_steps=2,
                per_device_train_batch_size=4,
                learning_rate=1e-3,
                lr_scheduler_type="constant",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                loss_type="dapo",
                temperature=1.0,
                gradient_checkpointing=False,
                max_completion_length=CONTEXT,
            ),
            peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
            tasks=family.tasks(),
            rollouts=Rollouts(family, config, sampling, tmp_path / "runs.sqlite", decode),
            toolpo=ToolPOConfig(),
            writer=writer,
        )


def test_the_second_step_learns_from_what_the_updated_adapter_wrote(trainer: Any, tmp_path: Path):
    trainer.train()
    with RunStore(tmp_path / "runs.sqlite") as store:
        began = [store.events(run.id)[0].event for run in store.runs()]
    names = [event.model for event in began if isinstance(event, Started)]
    assert sorted(name.partition("-step-")[2] for name in names) == ["0"] * 4 + ["1"] * 4

    print("distance of log-probabilities, with the adapter and without, in each step:", trainer.gaps)
    (first, before), (second, without) = trainer.gaps
    assert first == pytest.approx(before), "an adapter that has learnt nothing changes nothing"
    assert max(first, second) < 0.1, "the server computes in bfloat16, the trainer in float32: 0.012 to 0.034 were seen"
    assert without > 3 * second, "what was written in the second step is not what the first adapter would have written"
