"""What vLLM and SGLang have in common: `/tokenize`, `/detokenize`, and grammars that may be too much for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from deepagent.control import neutralise, split_control
from deepagent.errors import BrokenReplyError, ModelError, ModelReplyError
from deepagent.models.failures import StatusError
from deepagent.models.reply import Reply
from deepagent.models.servers.base import Terms, function_list, settle_tokens
from deepagent.models.transport import JsonObject, Transport
from deepagent.transcript import Function, Message, Segment

_MOST_PIECES = 32
_REFUSALS = (400, 422, 500)
"""How servers answer a grammar that they cannot compile; an overloaded one has nothing against it."""


class TokenServer:
    """A server that is given token ids and reports them.

    Args:
        transport: to the server's root.
        model: name of the model.
        context: window in tokens.
    """

    neutral: ClassVar[JsonObject] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}

    def __init__(self, transport: Transport, model: str, context: int) -> None:
        self._transport = transport
        self.model = model
        self.context = context
        self.refused: set[str] = set()
        """Grammars that the server could not compile."""

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """Apply the server's template."""
        asked: JsonObject = {
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "add_generation_prompt": True,
        }
        if functions:
            asked["tools"] = function_list(functions)
        ids = await self._tokenize(asked)
        return Segment(kind="prompt", text=await self.detokenize(ids), token_ids=ids)

    async def observation(self, text: str) -> Segment:
        """Tokenise, cutting what looks like a control token: these servers cannot be told to take it as text.

        Text that is full of them, which only an attack is, is broken up instead: pieces cost a request each.
        """
        pieces = split_control(text)
        if len(pieces) > _MOST_PIECES:
            text = neutralise(text)
            pieces = [text]
        found = await asyncio.gather(*map(self._tokenize_text, pieces))
        return Segment(kind="observation", text=text, token_ids=tuple(token for ids in found for token in ids))

    async def marks(self, text: str) -> Segment:
        """Tokenise with control tokens as what they are."""
        return Segment(kind="observation", text=text, token_ids=await self._tokenize_text(text))

    async def settle(self, reply: Reply) -> Segment:
        """Make text and ids say the same."""
        return await settle_tokens(reply, self.detokenize)

    async def detokenize(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens included."""
        asked = {"model": self.model, "tokens": list(ids), "skip_special_tokens": False}
        answer = await self._transport.post("detokenize", asked)
        text = answer.get("prompt", answer.get("text"))
        if not isinstance(text, str):
            raise ModelReplyError(f"{self._transport.where} detokenizes to no text: is it a vLLM or SGLang server?")
        return text

    async def _tokenize_text(self, text: str) -> tuple[int, ...]:
        return await self._tokenize({"prompt": text, "add_special_tokens": False})

    async def _tokenize(self, asked: JsonObject) -> tuple[int, ...]:
        tokens = (await self._transport.post("tokenize", {"model": self.model} | asked)).get("tokens")
        if not isinstance(tokens, list):
            raise ModelReplyError(f"{self._transport.where} tokenizes to no tokens: is it a vLLM or SGLang server?")
        return tuple(tokens)

    def _structural_tag(self, terms: Terms) -> str | None:
        """The grammar that is asked for, unless it was refused before."""
        held = terms.grammar.structural_tag if terms.grammar is not None else None
        return None if held in self.refused else held

    def _without(self, held: str | None, error: ModelError) -> bool:
        """A grammar may be too much for a server: it refuses, fails, or breaks off in the middle of the reply."""
        status = error.status if isinstance(error, StatusError) else None
        if held is None or not (status in _REFUSALS or isinstance(error, BrokenReplyError)):
            return False
        self.refused.add(held)
        return True
