"""A model of the transformers library inside this process: for training, whose rollouts the policy itself must write.

Slow beside a server: no attention kernels, no cache from one request to the next. Requests that wait together are
written as one batch. The extra `train` installs what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepagent.control import neutralise, without_end_token
from deepagent.errors import ModelUnavailableError, UsageError
from deepagent.grammar import Grammar
from deepagent.models.adapters import read_config, with_adapter
from deepagent.models.base import Generated, Listen, Sampling, Usage, room_for_reply
from deepagent.models.batches import Batcher, Request
from deepagent.models.reply import Reply
from deepagent.models.servers.base import settle_tokens, token_prompt
from deepagent.models.tokenizer import LocalTokenizer
from deepagent.tools import JsonSchema, told
from deepagent.transcript import Function, Message, Segment, Window


class TransformersModel:
    """A causal language model and its tokenizer.

    Args:
        name: as named in logs.
        network: the model of the transformers library, or one of peft's around it; it is used as it is at each request,
            so that a trainer can go on changing its weights.
        tokenizer: its tokenizer, with a chat template.
        context: window in tokens; None takes the model's own.
        turns: what the model observes is a turn of its own.
        most: replies that are written at the same time.
    """

    continues = True
    functions = False

    def __init__(
        self,
        name: str,
        network: Any,
        tokenizer: Any,
        *,
        context: int | None = None,
        turns: bool = False,
        most: int = 32,
    ) -> None:
        self._name = name
        self._network = network
        self._tokens = LocalTokenizer(tokenizer, name, turns=turns)
        self._context = context or int(network.config.max_position_embeddings)
        self._batcher = Batcher(network, most)
        self._ends = end_tokens(network, tokenizer)

    @classmethod
    def load(
        cls, folder: Path, *, adapter: Path | None = None, context: int | None = None, turns: bool = False
    ) -> Self:
        """Read a model from a folder, never from the network.

        Args:
            folder: as `save_pretrained` writes it.
            adapter: a LoRA adapter of peft's to put on it.
            context: see the class.
            turns: see the class.

        Raises:
            UsageError: transformers or peft is not installed.
            WeightsError: the folder of the adapter holds none.
            ModelUnavailableError: the folder holds no such model.
        """
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise UsageError("transformers is not installed: pip install 'deepagent[train]'") from error
        network: Any
        try:
            network = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            if adapter is not None:
                from peft import PeftModel

                read_config(adapter)
                network = PeftModel.from_pretrained(network, str(adapter), local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelUnavailableError(f"{folder} holds no model that can be used: {told(error)}") from error
        name = with_adapter("/".join(folder.absolute().parts[-2:]), adapter)
        return cls(name, network.eval(), tokenizer, context=context, turns=turns)

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    @property
    def context(self) -> int:
        """Window in tokens."""
        return self._context

    @property
    def tokenizer(self) -> LocalTokenizer:
        """What turns its tokens into text."""
        return self._tokens

    async def __aenter__(self) -> Self:
        await self._tokens.prepare()
        await self._batcher.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._batcher.stop()

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """See `Model.prompt`."""
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
        """See `Model.generate`. No grammar is held to: what is trained must be what the model writes by itself."""
        sent = token_prompt(window)
        ids = self._tokens.encode(sent) if isinstance(sent, str) else sent
        return await self._ask(ids, sampling, stop, listen)

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        """See `Model.chat`. No schema is held to."""
        prompt = await self.prompt(
            [message.model_copy(update={"content": neutralise(message.content)}) for message in messages]
        )
        return await self._ask(prompt.token_ids or (), sampling, (), None)

    async def _ask(
        self, ids: Sequence[int], sampling: Sampling, stop: Sequence[str], listen: Listen | None
    ) -> Generated:
        started = time.perf_counter()
        reply = Reply(lambda event, reply: None, listen() if listen is not None else None)
        limit = room_for_reply(self.context, len(ids), sampling)

        def hear(token: int, logprob: float) -> bool:
            """Take a token; True ends the reply."""
            reply.add_tokens([token], [logprob])
            text = self._tokens.decode(reply.ids)
            if token in self._ends:
                reply.eos = True
                text = str(without_end_token(text))
                reply.end("stop")
            if text.endswith("\ufffd") and not reply.eos and len(reply.ids) < limit:
                return False  # the first bytes of a character whose last have not come
            new = text[len(reply.text) :]
            reply.write(new)
            if any(word in text[-len(new) - len(word) :] for word in stop if new):
                reply.end("stop")
            if len(reply.ids) >= limit:
                reply.end("length")
            return reply.finish is not None

        await self._batcher.write(Request(tuple(ids), sampling, hear))
        segment = await settle_tokens(reply, self._tokens.detokenize)
        usage = Usage(prompt_tokens=len(ids), completion_tokens=len(reply.ids))
        return Generated(
            segment=segment, finish=reply.finish or "stop", usage=usage, seconds=time.perf_counter() - started
        )


def end_tokens(network: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens with which the model ends its turn."""
    known = network.generation_config.eos_token_id if network.generation_config is not None else None
    ids = {*(known if isinstance(known, list) else [known]), tokenizer.eos_token_id}
    return frozenset(id for id in ids if id is not None)
