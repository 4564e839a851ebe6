"""vLLM servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepagent.errors import ModelReplyError
from deepagent.models.base import Sampling
from deepagent.models.reply import Reply, first_choice
from deepagent.models.servers.base import split_control, token_prompt
from deepagent.models.transport import JsonObject, Transport
from deepagent.transcript import Message, Segment, Window

MOST_STOPS = 4
"""vLLM refuses more; the caller's `watch` sees the others."""


class VllmServer:
    """Speaks tokens through `/tokenize`, `/detokenize` and `return_token_ids`.

    Args:
        transport: to the server's root.
        model: name of the model.
        context: window in tokens.
    """

    path = "v1/completions"

    def __init__(self, transport: Transport, model: str, context: int) -> None:
        self._transport = transport
        self.model = model
        self.context = context

    async def prompt(self, messages: Sequence[Message]) -> Segment:
        """Apply the server's template."""
        asked = {
            "model": self.model,
            "messages": [message.model_dump() for message in messages],
            "add_generation_prompt": True,
        }
        ids = _tokens(await self._transport.post("tokenize", asked))
        return Segment(kind="prompt", text=await self._detokenize(ids), token_ids=ids)

    async def observation(self, text: str) -> Segment:
        """Tokenise, cutting what looks like a control token: this server cannot be told to take it as text."""
        ids: tuple[int, ...] = ()
        for piece in split_control(text):
            asked = {"model": self.model, "prompt": piece, "add_special_tokens": False}
            ids += _tokens(await self._transport.post("tokenize", asked))
        return Segment(kind="observation", text=text, token_ids=ids)

    async def marks(self, text: str) -> Segment:
        """Tokenise with control tokens as what they are."""
        asked = {"model": self.model, "prompt": text, "add_special_tokens": False}
        ids = _tokens(await self._transport.post("tokenize", asked))
        return Segment(kind="observation", text=text, token_ids=ids)

    def request(self, window: Window, sampling: Sampling, stop: Sequence[str], limit: int) -> JsonObject:
        """The body of a completion."""
        body: JsonObject = {
            "model": self.model,
            "prompt": token_prompt(window),
            "max_tokens": limit,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop": list(stop)[:MOST_STOPS],
            "include_stop_str_in_output": True,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            "return_token_ids": True,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.logprobs:
            body["logprobs"] = 1
        return body

    def read(self, event: JsonObject, reply: Reply) -> None:
        """Text, ids and log-probabilities come with every event."""
        choice = first_choice(event)
        reply.seen = reply.seen or bool(choice)
        logprobs = choice.get("logprobs")
        values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
        reply.add_tokens(choice.get("token_ids") or [], values if isinstance(values, list) else [])
        reply.report(event.get("usage"))
        reply.end(choice.get("finish_reason"))
        # No stop reason is the end token, a number is another one; a stop string is text.
        if choice.get("finish_reason") == "stop" and not isinstance(choice.get("stop_reason"), str):
            reply.eos = True
        reply.write(choice.get("text"))

    async def settle(self, reply: Reply) -> Segment:
        """Make text and ids say the same; the ids are the truth.

        The last token may reach beyond the stop string. The end token is or is not among the ids, depending on
        the server's version; it is no part of the stream.
        """
        ids, text = tuple(reply.ids), reply.text
        if not ids:
            return Segment(kind="generated", text=text)
        logprobs = tuple(reply.logprobs) if len(reply.logprobs) == len(ids) else None
        read_back = text if reply.finish == "length" else await self._detokenize(ids)
        if reply.eos and read_back != text and read_back.startswith(text):
            ids, logprobs, read_back = ids[:-1], logprobs[:-1] if logprobs else None, text
        text = read_back if read_back.startswith(text) else text
        return Segment(kind="generated", text=text, token_ids=ids, logprobs=logprobs)

    async def _detokenize(self, ids: Sequence[int]) -> str:
        answer = await self._transport.post("detokenize", {"model": self.model, "tokens": list(ids)})
        text = answer.get("prompt")
        if not isinstance(text, str):
            raise ModelReplyError("the server's /detokenize gave no text: is it a vLLM server?")
        return text


def _tokens(answer: dict[str, Any]) -> tuple[int, ...]:
    tokens = answer.get("tokens")
    if not isinstance(tokens, list):
        raise ModelReplyError("the server's /tokenize gave no tokens: is it a vLLM server?")
    return tuple(tokens)
