"""The stages of a recipe: supervised fine-tuning, then ToolPO. Each reads a model from a folder and writes one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from deepagent import settings
from deepagent.agent import Agent, Circumstances
from deepagent.dialects import spelled
from deepagent.errors import TrainingError, UsageError
from deepagent.evaluation.base import AnyBenchmark, BenchmarkTask
from deepagent.evaluation.registry import get_class
from deepagent.models.base import Model, Sampling
from deepagent.models.scripted import ScriptedModel
from deepagent.models.tokenizer import LocalTokenizer
from deepagent.models.transformers import TransformersModel
from deepagent.runs.store import RunStore
from deepagent.training.contamination import asked_by_benchmarks
from deepagent.training.conversations import read, tokenised
from deepagent.training.demonstrations import DictatedModel, demonstrate
from deepagent.training.recipe import SFT, Policy, Recipe, Tasks
from deepagent.training.sequences import TrainingSequence

Say = Callable[[str], None]
"""Told what is being done, in one line."""

RUNS = "runs.sqlite"
"""In the output folder: all runs that training made, for `deepagent runs` and `deepagent view`."""
MODEL = "model"
"""In the output folder: what was trained; with LoRA the adapter."""


def make_benchmark(tasks: Tasks) -> AnyBenchmark:
    """The benchmark that is trained on, not yet entered.

    Raises:
        UsageError: there is none of this name.
        ConfigError: its settings cannot be read.
    """
    kind = get_class(tasks.benchmark)
    read = settings.validate(tasks.settings, kind.Config, where=f"the settings of {tasks.benchmark}")
    return kind(read, None)


def _tasks(benchmark: AnyBenchmark) -> Sequence[BenchmarkTask]:
    """The tasks to train on.

    Raises:
        TrainingError: a benchmark tests with one of them.
    """
    tasks = benchmark.tasks()
    asked_by_benchmarks().refuse(task.prompt for task in tasks)
    return tasks


def run_sft(recipe: Recipe, output: Path, *, say: Say, resume: bool = False) -> Path:
    """Learn from demonstrations of the oracle; returns the folder of what was trained.

    Args:
        recipe: has a part `sft`.
        output: folder for the model, checkpoints and runs.
        say: told of progress.
        resume: go on from the last checkpoint in the folder.

    Raises:
        UsageError: the recipe lacks the part, or a setting is wrong.
        TrainingError: the tasks have no oracle, or a benchmark tests with one of them.
    """
    from trl import SFTConfig

    from deepagent.training.sft import sft_trainer

    part = recipe.sft
    if part is None:
        raise UsageError("the recipe has no part `sft`")
    given = recipe.policy.model
    folder = Path(given) if given is not None else _tiny(recipe, make_benchmark(part.tasks), output, say)
    network, tokenizer, adapted = _load(folder)
    sequences = asyncio.run(_lessons(recipe, part, (folder.name, network, tokenizer), output, say))
    args = _arguments(SFTConfig, part.trainer, output / "sft", recipe.seed, max_length=recipe.policy.context)
    trainer = sft_trainer(network, tokenizer, sequences, args, peft_config=None if adapted else _lora(recipe.policy))
    trainer.train(resume_from_checkpoint=resume and _checkpoint(output / "sft"))
    return _save(trainer, tokenizer, output)


async def _lessons(
    recipe: Recipe, part: SFT, learner: tuple[str, Any, Any], output: Path, say: Say
) -> list[TrainingSequence]:
    """What is imitated, in the tokens of the learner: collected runs where the recipe names some, or demonstrations."""
    options: dict[str, Any] = {"context": recipe.policy.context, "turns": recipe.policy.turns}
    if part.data is not None:
        conversations = read(part.data)
        asked_by_benchmarks().refuse(conversation.task for conversation in conversations)
        say(f"{part.data} holds {len(conversations)} conversations")
        async with TransformersModel(*learner, **options) as model:
            return await tokenised(conversations, model)
    benchmark = make_benchmark(part.tasks)
    tasks = _tasks(benchmark)
    say(f"the oracle demonstrates {len(tasks)} tasks")
    with RunStore(output / RUNS) as store:
        dictated = partial(DictatedModel, name=learner[0], network=learner[1], tokenizer=learner[2], **options)
        return await demonstrate(benchmark, tasks, dictated, recipe.agent, store)


def run_toolpo(recipe: Recipe, output: Path, *, say: Say, resume: bool = False, begin: Path | None = None) -> Path:
    """Learn from rollouts; returns the folder of what was trained.

    Args:
        recipe: has a part `toolpo`.
        output: folder for the model, checkpoints and runs.
        say: told of progress.
        resume: go on from the last checkpoint in the folder.
        begin: the model to begin with; left out, what training has left in the output folder, or else the recipe's.

    Raises:
        UsageError: the recipe lacks the part, or a setting is wrong.
        TrainingError: no rollout of a batch came to its end, a benchmark tests with one of the tasks, or the recipe's
            server cannot write rollouts.
        ModelError: the server cannot be asked.
    """
    from trl import GRPOConfig

    from deepagent.training.rollouts import Rollouts
    from deepagent.training.served import ServedPolicy
    from deepagent.training.trainer import ToolPOTrainer

    part = recipe.toolpo
    if part is None:
        raise UsageError("the recipe has no part `toolpo`")
    benchmark = make_benchmark(part.tasks)
    folder = begin or _beginning(recipe, benchmark, output, say)
    network, tokenizer, adapted = _load(folder)
    policy, method = recipe.policy, part.method
    args = _arguments(
        GRPOConfig,
        part.trainer,
        output / "toolpo",
        recipe.seed,
        num_generations=part.group,
        temperature=part.sampling.temperature,
        epsilon=method.clip_low,
        epsilon_high=method.clip_high,
        loss_type="dapo",
        max_completion_length=policy.context,
    )
    lora = None if adapted else _lora(policy)
    if part.server is not None and lora is None and not adapted:
        raise UsageError("a server is given adapters, not all weights: set `policy: {lora: {}}`, or name no server")
    decode = LocalTokenizer(tokenizer, folder.name).decode

    def in_process(now: Any, step: int) -> Model:
        return TransformersModel(folder.name, now, tokenizer, context=policy.context, turns=policy.turns)

    adapters = output / "toolpo" / "adapters"
    with nullcontext(in_process) if part.server is None else ServedPolicy(part.server, policy, adapters) as writer:
        trainer = ToolPOTrainer(
            model=network,
            args=args,
            processing_class=tokenizer,
            peft_config=lora,
            tasks=_tasks(benchmark),
            rollouts=Rollouts(benchmark, recipe.agent, part.sampling, output / RUNS, decode),
            toolpo=method,
            writer=writer,
        )
        trainer.train(resume_from_checkpoint=resume and _checkpoint(output / "toolpo"))
    return _save(trainer, tokenizer, output)


def _beginning(recipe: Recipe, benchmark: AnyBenchmark, output: Path, say: Say) -> Path:
    """The model to begin with: what training has left in the output folder, the recipe's, or a tiny one."""
    if (output / MODEL).is_dir():
        say(f"going on from {output / MODEL}")
        return output / MODEL
    if recipe.policy.model is not None:
        return Path(recipe.policy.model)
    return _tiny(recipe, benchmark, output, say)


def _tiny(recipe: Recipe, benchmark: AnyBenchmark, output: Path, say: Say) -> Path:
    """A model from nothing, made once for each output folder."""
    from deepagent.training.tiny import make_tiny

    folder = output / "tiny"
    if not (folder / "config.json").is_file():
        say("making a tiny model from nothing")
        tiny = recipe.policy.tiny
        make_tiny(
            folder,
            asyncio.run(_texts(recipe, benchmark, output)),
            vocabulary=tiny.vocabulary,
            hidden=tiny.hidden,
            layers=tiny.layers,
            context=recipe.policy.context,
            seed=recipe.seed,
        )
    return folder


async def _texts(recipe: Recipe, benchmark: AnyBenchmark, output: Path) -> list[str]:
    """What the model will read and write, for the tokenizer to be made from."""
    texts: list[str] = []
    config = recipe.agent.model_copy(update={"doubts": False, "sampling": Sampling()})  # nothing is cut short
    with RunStore(output / RUNS) as store:
        for task in benchmark.tasks()[:100]:
            replies = list(map(spelled, benchmark.demonstration(task) or ()))
            model = ScriptedModel(replies, context=1 << 20)
            agent = Agent(model, benchmark.sources, config=config, store=store)
            async with benchmark.world(task) or nullcontext() as world:
                here = Circumstances(tools=world, only=benchmark.offered(task))
                await agent.run(task.prompt, circumstances=here)
            texts += [model.prompts[-1], *replies]
    return texts


def _load(folder: Path) -> tuple[Any, Any, bool]:
    """Network, tokenizer, and whether the network wears a LoRA adapter already, which is then trained further."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapted = (folder / "adapter_config.json").is_file()
    try:
        if adapted:
            from peft import AutoPeftModelForCausalLM

            network: Any = AutoPeftModelForCausalLM.from_pretrained(folder, is_trainable=True, local_files_only=True)
        else:
            network = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        return network, AutoTokenizer.from_pretrained(folder, local_files_only=True), adapted
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder} holds no model to train: {' '.join(str(error).split())[:300]}") from error


def _arguments(kind: Any, given: dict[str, Any], folder: Path, seed: int, **ours: Any) -> Any:
    """TRL's settings: ours, the recipe's, and what depends on the machine.

    Raises:
        UsageError: the recipe sets what TRL does not know.
    """
    import torch

    machine = {"bf16": True} if torch.cuda.is_available() else {"use_cpu": True, "bf16": False}
    # Checkpointing spares memory for a third more time; a recipe for a large model asks for it.
    usual = {"report_to": "none", "save_total_limit": 2, "logging_steps": 1, "gradient_checkpointing": False}
    try:
        return kind(output_dir=str(folder), seed=seed, **(usual | machine | ours | given))
    except (TypeError, ValueError) as error:
        raise UsageError(f"the recipe's trainer settings: {' '.join(str(error).split())}") from error


def _lora(policy: Policy) -> Any:
    if policy.lora is None:
        return None
    from peft import LoraConfig

    targets = policy.lora.targets
    return LoraConfig(
        r=policy.lora.rank,
        lora_alpha=policy.lora.alpha,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _checkpoint(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from; the trainer finds the last one itself."""
    return any(folder.glob("checkpoint-*"))


def _save(trainer: Any, tokenizer: Any, output: Path) -> Path:
    place = output / MODEL
    trainer.save_model(str(place))
    tokenizer.save_pretrained(place)
    return place
