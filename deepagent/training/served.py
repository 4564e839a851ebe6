"""Rollouts from a vLLM server, which is given the policy's LoRA adapter whenever training has changed it."""

from __future__ import annotations

import logging
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from deepagent.errors import ModelError, TrainingError
from deepagent.models.base import Sampling
from deepagent.models.config import HttpConfig
from deepagent.models.failures import StatusError
from deepagent.models.http import HttpModel
from deepagent.models.resolve import from_http_config
from deepagent.models.transport import Transport
from deepagent.training.recipe import Policy
from deepagent.training.waiting import wait
from deepagent.transcript import Message, Window

_log = logging.getLogger(__name__)
_HELLO = (Message(role="user", content="hello"),)


class ServedPolicy:
    """A vLLM server that writes as the policy would now; what it was given is dropped at the end of the `with` block.

    Every version of the adapter has a name and a folder of its own. The server keeps its prefix cache by name: what it
    has read with one version is never taken for another's. The names of a run that is resumed are new ones, too.

    Only the main process speaks of versions with the server. The others wait for the name, and then roll out, too.

    Args:
        server: where it is. It serves the weights that the adapter is put on.
        policy: tells window and turns.
        folder: where adapters are written, for the server to read.
    """

    def __init__(self, server: HttpConfig, policy: Policy, folder: Path) -> None:
        self._server = server.model_copy(update={"api": "completions", "turns": policy.turns})
        self._context = policy.context
        self._folder = folder.absolute()
        self._run = secrets.token_hex(4)
        self._step: int | None = None
        self._name: str | None = None
        """The version that the server holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if PartialState().is_main_process:
            if self._name is not None:
                wait(self._drop(self._name))
            shutil.rmtree(self._folder, ignore_errors=True)

    def __call__(self, network: Any, step: int) -> HttpModel:
        """The model that writes as the network does at this step. All processes call it at the same time.

        Args:
            network: peft's model around the policy.
            step: how often its weights have been changed.

        Raises:
            TrainingError: the server does not take adapters, or cannot be trained on.
            ModelError: it cannot be asked.
        """
        if step != self._step:
            if PartialState().is_main_process:
                self._update(network, step)
            self._name, self._step = broadcast_object_list([self._name])[0], step
        return self._model(self._name, self._context)

    def _update(self, network: Any, step: int) -> None:
        """Give the server the adapter as it is now, and drop the version before."""
        name, before = f"toolpo-{self._run}-step-{step}", self._name
        network.save_pretrained(str(self._folder / name))
        wait(self._load(name))
        self._name = name
        if before is None:
            wait(self._try(name))
        else:
            wait(self._drop(before))
            shutil.rmtree(self._folder / before)

    async def _load(self, name: str) -> None:
        async with self._transport as transport:
            try:
                asked = {"lora_name": name, "lora_path": str(self._folder / name)}
                await transport.read("POST", "v1/load_lora_adapter", asked)
            except StatusError as error:
                if "already" in error.said:  # an attempt before this one was heard, and its answer was not
                    return
                if error.status in (401, 403) or error.status >= 500:
                    raise
                raise TrainingError(
                    f"{transport.where} does not load the adapter ({error.said}): start vLLM with --enable-lora, a "
                    "--max-lora-rank that holds it, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, where it can read "
                    f"{self._folder}"
                ) from error

    async def _try(self, name: str) -> None:
        """See that the replies can be learnt from, before a whole batch of rollouts is made."""
        async with self._model(name, None) as model:
            where = model.transport.where
            if model.context < self._context:
                raise TrainingError(
                    f"the window of {where} is {model.context} tokens, the policy's {self._context}: start vLLM with "
                    f"--max-model-len {self._context}, or lower the policy's `context`"
                )
            window = Window(_HELLO, [await model.prompt(_HELLO)])
            reply = (await model.generate(window, Sampling(max_tokens=1, logprobs=True))).segment
        if reply.token_ids is None or reply.logprobs is None:
            raise TrainingError(f"{where} reports no token ids with log-probabilities: rollouts need a vLLM server")

    async def _drop(self, name: str) -> None:
        """Have the server forget a version. Where that fails it holds one more than it needs, which harms nothing."""
        try:
            async with self._transport as transport:
                await transport.read("POST", "v1/unload_lora_adapter", {"lora_name": name})
        except ModelError as error:
            _log.warning("the adapter %s stays loaded: %s", name, error)

    def _model(self, name: str | None, context: int | None) -> HttpModel:
        return from_http_config(self._server.model_copy(update={"model": name, "context": context}))

    @property
    def _transport(self) -> Transport:
        return self._model(None, None).transport
