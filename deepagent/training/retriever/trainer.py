"""The training loop: steps, checkpoints, and the encoder that comes out."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from deepagent.actions import Frozen
from deepagent.errors import UsageError
from deepagent.retrieval.encoders import quiet_transformers
from deepagent.training.retriever.examples import Example, Pool, batches
from deepagent.training.retriever.export import export
from deepagent.training.retriever.loss import collate, contrastive
from deepagent.training.retriever.model import TrainedEncoder

if TYPE_CHECKING:
    from torch import Tensor

_CHECKPOINT = "checkpoint.safetensors"
_BETWEEN = 120.0
"""Seconds between checkpoints."""


class RetrieverTraining(BaseModel):
    """How an encoder is tuned. The defaults made the encoder that comes with the package."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(3, gt=0)
    """Passes over the labelled queries."""
    batch: int = Field(64, ge=2)
    """Queries in a batch; their tools are each other's wrong answers."""
    learning_rate: float = Field(5e-5, gt=0)
    warmup: int = Field(25, ge=1)
    """Steps over which the learning rate rises; from then on it falls in a line."""
    scale: float = Field(20, gt=0)
    """What cosines are multiplied with in the loss."""
    lookalikes: int = Field(1, ge=0)
    """Tools that only look right, drawn anew for each query and epoch."""
    strangers: int = Field(1, ge=0)
    """Tools of other catalogues that only look right, drawn likewise."""
    made_up: float = Field(1.1, ge=0)
    """Batches of made-up wishes for each batch of labelled queries."""
    max_tokens: int = Field(80, ge=8)
    frozen_layers: int = Field(2, ge=0)
    seed: int = 0


class Progress(Frozen):
    """How far training is.

    Attributes:
        step: steps that are done, of `steps`.
        loss: of late; falls as 0.95 of itself and 0.05 of the last step's.
        seconds: since the command began.
    """

    step: int
    steps: int
    loss: float
    seconds: float


def train(
    pools: Sequence[Pool],
    base: Path,
    out: Path,
    config: RetrieverTraining,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Tune an encoder and write it to a folder, as ONNX for searching and as safetensors for further training.

    A checkpoint is written every two minutes and when the loop is left by an exception, such as Ctrl-C; called again
    with the same arguments, training goes on from there.

    Args:
        pools: the examples.
        base: folder of the model that training starts from.
        out: where the encoder goes.
        config: how to train.
        tell: called after each step.

    Raises:
        UsageError: there are no examples; or `out` holds the checkpoint of another training.
        WeightsError: `base` holds no model.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(config.seed)
    encoder = TrainedEncoder(base, max_tokens=config.max_tokens, frozen_layers=config.frozen_layers, device=device)
    loop = _Loop(encoder, pools, config)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint, identity = out / _CHECKPOINT, _identity(pools, base, config)
    if checkpoint.exists():
        loop.load(checkpoint, identity)
    began = saved = time.monotonic()
    try:
        while loop.step < loop.steps:
            loop.advance()
            tell(Progress(step=loop.step, steps=loop.steps, loss=loop.loss, seconds=time.monotonic() - began))
            if time.monotonic() - saved > _BETWEEN:
                loop.save(checkpoint, identity)
                saved = time.monotonic()
    except BaseException:
        loop.save(checkpoint, identity)
        raise
    with quiet_transformers():
        encoder.network.save_pretrained(out)
    export(encoder.network, encoder.tokenizer, out)
    checkpoint.unlink(missing_ok=True)


class _Loop:
    """The state of training: everything that a checkpoint holds."""

    def __init__(self, encoder: TrainedEncoder, pools: Sequence[Pool], config: RetrieverTraining) -> None:
        self._encoder = encoder
        self._pools = pools
        self._config = config
        self._optimizer = torch.optim.AdamW(encoder.trained.values(), lr=config.learning_rate)
        self._epoch: list[list[Example]] = self._drawn(0)
        if not self._epoch:
            raise UsageError("there is nothing to train on: no labelled query in this half, and no wish can be made up")
        self._length = len(self._epoch)
        self.steps = max(1, round(config.epochs * self._length))
        self.step = 0
        self.loss = 0.0

    def advance(self) -> None:
        """Take one step."""
        number, place = divmod(self.step, self._length)
        if place == 0:
            self._epoch = self._drawn(number)
        # How many batches made-up wishes fill depends a little on how they are drawn.
        loss = self._gradients(self._epoch[place % len(self._epoch)])
        torch.nn.utils.clip_grad_norm_(list(self._encoder.trained.values()), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * min(
                (self.step + 1) / self._config.warmup, 1 - self.step / self.steps
            )
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.loss = loss if self.step == 0 else 0.95 * self.loss + 0.05 * loss
        self.step += 1

    def _gradients(self, examples: Sequence[Example]) -> float:
        draw = random.Random(f"{self._config.seed}:{self.step}")  # noqa: S311 (not a secret)
        batch = collate([self._with_few(example, draw) for example in examples])
        queries, tools = self._encoder.encode_queries(batch.queries), self._encoder.encode(batch.tools)
        loss = contrastive(queries, tools, batch, self._config.scale)
        loss.backward()
        return float(loss.detach())

    def _with_few(self, example: Example, draw: random.Random) -> Example:
        """The example with as many of its lookalikes and strangers as one step sees."""
        few = [
            *_sample(example.lookalikes, self._config.lookalikes, draw),
            *_sample(example.strangers, self._config.strangers, draw),
        ]
        return example._replace(lookalikes=tuple(few))

    def _drawn(self, epoch: int) -> list[list[Example]]:
        draw = random.Random(f"{self._config.seed}:epoch {epoch}")  # noqa: S311 (not a secret)
        return batches(self._pools, self._config.batch, self._config.made_up, draw)

    def save(self, path: Path, identity: str) -> None:
        """Write the checkpoint; whoever reads finds the old one or the new one, whole."""
        tensors: dict[str, Tensor] = {}
        for name, value in self._encoder.trained.items():
            tensors[f"value {name}"] = value.detach()
            for key, moment in self._optimizer.state[value].items():
                tensors[f"{key} {name}"] = moment
        state = {"identity": identity, "step": str(self.step), "loss": repr(self.loss)}
        partial = path.with_suffix(".partial")
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata=state)
        partial.replace(path)

    def load(self, path: Path, identity: str) -> None:
        """Go on from a checkpoint."""
        try:
            with safe_open(path, framework="pt", device=self._encoder.device) as stored:
                state: dict[str, str] = stored.metadata() or {}
                if state.get("identity") != identity:
                    raise UsageError(
                        f"{path} is of a training with other data or settings; remove it, or choose another --out"
                    )
                self._restore({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118 (no mapping)
        except SafetensorError as error:
            raise UsageError(f"{path} is damaged: {error}; remove it to begin anew") from error
        self.step, self.loss = int(state["step"]), float(state["loss"])
        self._epoch = self._drawn(self.step // self._length)

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        moments: dict[str, dict[str, Any]] = {}
        trained = self._encoder.trained
        for label, tensor in tensors.items():
            key, name = label.split(" ", 1)
            if key == "value":
                trained[name].data.copy_(tensor)
            else:
                moments.setdefault(name, {})[key] = tensor
        for name, own in moments.items():
            self._optimizer.state[trained[name]] = own


def _sample(texts: Sequence[str], count: int, draw: random.Random) -> list[str]:
    return draw.sample(texts, min(len(texts), count))


def _identity(pools: Sequence[Pool], base: Path, config: RetrieverTraining) -> str:
    """What a checkpoint belongs to: the examples, the base and the settings."""
    digest = hashlib.sha256(config.model_dump_json().encode())
    digest.update(str(base.resolve()).encode())
    digest.update(json.dumps([[pool.run, *pool.examples] for pool in pools]).encode())
    return digest.hexdigest()[:32]
