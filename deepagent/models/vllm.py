"""vLLM's engine inside this process: many runs share its batches, and no server stands between.

The extra `vllm` installs it; on machines without a GPU `scripts/vllm_cpu.sh` makes an environment that works.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepagent.control import neutralise, without_end_token
from deepagent.errors import (
    ContextOverflowError,
    ModelError,
    ModelTimeoutError,
    ModelUnavailableError,
    UsageError,
)
from deepagent.grammar import Grammar
from deepagent.models.adapters import read_config, with_adapter
from deepagent.models.base import Generated, Listen, Sampling, Usage, room_for_reply
from deepagent.models.failures import is_overflow
from deepagent.models.reply import Reply
from deepagent.models.servers.base import settle_tokens, token_prompt
from deepagent.models.tokenizer import LocalTokenizer
from deepagent.tools import JsonSchema, told
from deepagent.transcript import Function, Message, Segment, Window


class VllmModel:
    """A model on vLLM's asynchronous engine.

    Args:
        model: folder of the weights, or their name at the model hub.
        context: window in tokens; None takes the model's own.
        turns: see `HttpModel`.
        timeout: longest time of one reply in seconds.
        options: further arguments of vLLM's engine, such as `tensor_parallel_size` or `gpu_memory_utilization`.
        adapter: folder of a LoRA adapter, as peft writes it.
    """

    continues = True
    functions = False

    def __init__(
        self,
        model: str,
        *,
        context: int | None = None,
        turns: bool = False,
        timeout: float = 1800.0,
        options: dict[str, Any] | None = None,
        adapter: Path | None = None,
    ) -> None:
        self._path = model
        self._context = context
        self._turns = turns
        self._timeout = timeout
        self._options = options or {}
        self._adapter = adapter
        self._lora: Any = None
        self._engine: Any = None
        self._tokenizer: LocalTokenizer | None = None
        self._refused: set[str] = set()  # grammars that the engine could not compile

    @property
    def name(self) -> str:
        """The last part of the model's path or name, and the name of the adapter."""
        return with_adapter(self._path.rstrip("/").rpartition("/")[2], self._adapter)

    @property
    def context(self) -> int:
        """Window in tokens."""
        return int(self._opened.model_config.max_model_len)

    async def __aenter__(self) -> Self:
        """Load the weights and start the engine, which is a process of its own; takes up to minutes.

        Raises:
            UsageError: vLLM is not installed.
            WeightsError: the folder of the adapter holds none.
            ModelUnavailableError: the engine does not start.
        """
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise UsageError("vLLM is not installed: pip install 'deepagent[vllm]'") from error
        options = {"enable_prefix_caching": True, "disable_log_stats": True} | self._options
        if self._context is not None:
            options["max_model_len"] = self._context
        if self._adapter is not None:
            from vllm.lora.request import LoRARequest

            options |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(read_config(self._adapter)["r"])}
            self._lora = LoRARequest(self._adapter.name, 1, str(self._adapter.absolute()))
        try:
            self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(model=self._path, **options))
        except Exception as error:  # whatever goes wrong in its many parts, there is no model then
            raise ModelUnavailableError(f"vLLM cannot serve {self._path}: {told(error)}") from error
        try:
            tokenizer = self._engine.get_tokenizer()
            tokenizer = await tokenizer if inspect.isawaitable(tokenizer) else tokenizer
            self._tokenizer = LocalTokenizer(tokenizer, self.name, turns=self._turns)
            await self._tokens.prepare()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.shutdown()  # not in a thread: its task in this loop would take the end for a crash

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """See `Model.prompt`.

        Raises:
            ModelReplyError: the model's chat template refuses the messages.
        """
        return await self._tokens.prompt(messages, functions)

    async def lead(self, text: str) -> Segment | None:
        """See `Model.lead`."""
        return await self._tokens.lead(text)

    async def observation(self, text: str, *, before: str = "", after: str = "", answers: str | None = None) -> Segment:
        """See `Model.observation`."""
        return await self._tokens.shown(text, before, after)

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
        """See `Model.generate`.

        Raises:
            ContextOverflowError: the window leaves no room for a reply.
            ModelUnavailableError: the engine failed.
            ModelTimeoutError: it took too long.
        """
        sent = token_prompt(window)
        ids = list(self._tokens.encode(sent)) if isinstance(sent, str) else sent
        held = grammar.structural_tag if grammar is not None else None
        if held is not None and held not in self._refused:
            try:
                return await self._ask(ids, sampling, stop, listen, {"structural_tag": held})
            except ModelUnavailableError:
                self._refused.add(held)
        return await self._ask(ids, sampling, stop, listen, None)

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        """See `Model.chat`. Raises as `generate`."""
        messages = [message.model_copy(update={"content": neutralise(message.content)}) for message in messages]
        prompt = await self.prompt(messages)
        ids = list(prompt.token_ids or ())
        if schema is not None:
            # A schema that cannot be compiled is left out, as everywhere: the answer is checked anyway.
            with contextlib.suppress(ModelUnavailableError):
                held = {"json": schema, "disable_any_whitespace": True}
                return await self._ask(ids, sampling, (), None, held)
        return await self._ask(ids, sampling, (), None, None)

    async def _ask(
        self,
        ids: list[int],
        sampling: Sampling,
        stop: Sequence[str],
        listen: Listen | None,
        held: dict[str, Any] | None,
    ) -> Generated:
        engine, started = self._opened, time.perf_counter()
        limit = room_for_reply(self.context, len(ids), sampling)
        params = _parameters(sampling, len(ids), limit, stop, held)
        reply = Reply(_read, listen() if listen is not None else None)
        try:
            async with (
                asyncio.timeout(self._timeout),
                # Leaving the iteration early aborts the request.
                contextlib.aclosing(
                    engine.generate({"prompt_token_ids": ids}, params, secrets.token_hex(8), lora_request=self._lora)
                ) as outputs,
            ):
                async for output in outputs:
                    if reply.hear({"output": output}):
                        break
        except ModelError:
            raise
        except TimeoutError as error:
            raise ModelTimeoutError(f"{self.name} did not finish in {self._timeout:g} s: raise `timeout`") from error
        except Exception as error:  # vLLM has errors of many kinds, none of which ends our process
            said = told(error)
            if is_overflow(said):
                raise ContextOverflowError(f"vLLM says that the prompt does not fit ({said}): fold earlier") from error
            raise ModelUnavailableError(f"vLLM failed ({said}): look at its log") from error
        segment = await settle_tokens(reply, self._tokens.detokenize)
        usage = reply.usage or Usage(prompt_tokens=len(ids), completion_tokens=segment.tokens, estimated=True)
        seconds = time.perf_counter() - started
        return Generated(segment=segment, finish=reply.finish or "stop", usage=usage, seconds=seconds)

    @property
    def _opened(self) -> Any:
        if self._engine is None:
            raise UsageError("the model is not open: use it inside `async with`")
        return self._engine

    @property
    def _tokens(self) -> LocalTokenizer:
        if self._tokenizer is None:
            raise UsageError("the model is not open: use it inside `async with`")
        return self._tokenizer


def _rank(rank: int) -> int:
    """What the engine must make room for: it knows powers of two from 8 on."""
    return max(8, 1 << (rank - 1).bit_length())


def _parameters(sampling: Sampling, prompt: int, limit: int, stop: Sequence[str], held: dict[str, Any] | None) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    return SamplingParams(
        max_tokens=limit,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=sampling.seed_behind(prompt),
        stop=list(stop),
        include_stop_str_in_output=True,
        skip_special_tokens=False,
        spaces_between_special_tokens=False,
        logprobs=0 if sampling.logprobs else None,
        output_kind=RequestOutputKind.DELTA,
        structured_outputs=StructuredOutputsParams(**held) if held is not None else None,
    )


def _read(event: dict[str, Any], reply: Reply) -> None:
    """Put what the engine gave since the last time into the reply."""
    whole = event["output"]
    new = whole.outputs[0]
    reply.seen = True
    ids = list(new.token_ids)
    drawn = [held[token].logprob for token, held in zip(ids, new.logprobs, strict=True)] if new.logprobs else []
    reply.add_tokens(ids, drawn)
    reply.count(len(whole.prompt_token_ids), whole.num_cached_tokens, len(reply.ids))
    reply.end(new.finish_reason)
    ended = new.finish_reason == "stop" and not isinstance(new.stop_reason, str)
    reply.eos = reply.eos or ended
    reply.write(without_end_token(new.text) if ended else new.text)
