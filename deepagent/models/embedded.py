"""A small model inside this process, for work without any server."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepagent.errors import ModelUnavailableError, UsageError
from deepagent.grammar import Grammar
from deepagent.models import weights
from deepagent.models.adapters import as_gguf, with_adapter
from deepagent.models.base import Generated, Listen, Sampling
from deepagent.models.http import HttpModel
from deepagent.models.weights import DEFAULT, Weights
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, Message, Segment, Window

CACHE_MEBIBYTES = 1024
"""Memory for the prompts of several runs that take turns; a full window of the default model takes 230."""


class EmbeddedModel:
    """A model served inside this process on a loopback port that only this object can use.

    There is one slot: requests take turns, and each may fill the whole window. The state of a prompt that is put
    aside stays in memory, so that a fold between two steps does not cost the main stream its cache.

    Args:
        name: weights in the catalogue, a path to a GGUF file, or an entry of one's own.
        context: window in tokens.
        turns: see `HttpModel`; small models are instruct models, so this is the default here.
        threads: CPU threads; None takes all but one of those that this process may use. The engine's threads wait for
            one another at every layer, so a single busy core slows all of them down, by ten times and more.
        adapter: folder of a LoRA adapter, as peft writes it, that was trained on the weights before they were
            quantised or on these.
    """

    def __init__(
        self,
        name: str | Weights = DEFAULT,
        *,
        context: int = 8192,
        turns: bool = True,
        threads: int | None = None,
        adapter: Path | None = None,
    ) -> None:
        self._weights = name
        self._adapter = adapter
        self._context = context
        self._turns = turns
        self._threads = threads or max(1, len(os.sched_getaffinity(0)) - 1)
        self._server: Any = None
        self._key = ""
        self._client: HttpModel | None = None

    @property
    def name(self) -> str:
        """Name of the weights, and of the adapter."""
        given = self._weights
        name = given.name if isinstance(given, Weights) else Path(given).name.removesuffix(".gguf")
        return with_adapter(name, self._adapter)

    @property
    def context(self) -> int:
        """Window in tokens."""
        return self._context

    @property
    def endpoint(self) -> tuple[str, str]:
        """URL and key of the server behind it, for other clients of this process. Known once it is entered."""
        return self._opened.transport.where, self._key

    @property
    def continues(self) -> bool:
        """Always: it is given one stream of tokens."""
        return True

    @property
    def functions(self) -> bool:
        """Never: it is given one stream of tokens."""
        return False

    async def __aenter__(self) -> Self:
        """Load the weights and start serving; takes seconds.

        Raises:
            UsageError: the engine is not installed, or no weights have this name.
            WeightsError: the weights are not here, or the adapter does not fit them.
            ModelUnavailableError: the weights cannot be loaded.
        """
        key = self._key = secrets.token_hex(16)
        file = weights.path(self._weights)
        self._server = await asyncio.to_thread(self._start, file, key)
        self._client = HttpModel(
            self._server.listening_address, self.name, context=self._context, turns=self._turns, api_key=key
        )
        try:
            await self._client.__aenter__()
        except BaseException:
            await asyncio.to_thread(self._stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                await client.__aexit__(kind, error, traceback)
        finally:
            await asyncio.to_thread(self._stop)

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """See `Model.prompt`."""
        return await self._opened.prompt(messages, functions)

    async def lead(self, text: str) -> Segment | None:
        """See `Model.lead`."""
        return await self._opened.lead(text)

    async def observation(self, text: str, *, before: str = "", after: str = "", answers: str | None = None) -> Segment:
        """See `Model.observation`."""
        return await self._opened.observation(text, before=before, after=after, answers=answers)

    async def generate(
        self,
        window: Window,
        sampling: Sampling,
        *,
        stop: Sequence[str] = (),
        listen: Listen | None = None,
        grammar: Grammar | None = None,
        calls: bool = True,
    ) -> Generated:
        """See `Model.generate`."""
        return await self._opened.generate(window, sampling, stop=stop, listen=listen, grammar=grammar, calls=calls)

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        """See `Model.chat`."""
        return await self._opened.chat(messages, sampling, schema=schema)

    @property
    def _opened(self) -> HttpModel:
        if self._client is None:
            raise UsageError("the model is not open: use it inside `async with`")
        return self._client

    def _start(self, file: Path, key: str) -> Any:
        try:
            import xllamacpp
        except ImportError as error:
            raise UsageError("the embedded engine is not installed: pip install 'deepagent[embedded]'") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        if self._adapter is not None:
            made = as_gguf(self._adapter, file, weights.cache_folder() / "adapters")
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(made), 1.0)]
        params.model_alias = {self.name}
        params.n_ctx = self._context
        params.n_parallel = 1
        params.cache_ram_mib = CACHE_MEBIBYTES
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [key]
        params.ui = False
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelUnavailableError(f"{file} cannot be loaded as a model: is it a GGUF file? ({error})") from error

    def _stop(self) -> None:
        """End the server: it has no method for that, and stops when the last reference goes."""
        self._server = None
