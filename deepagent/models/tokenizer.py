"""A tokenizer inside this process, for engines that take and give token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepagent.control import split_control
from deepagent.errors import ModelReplyError
from deepagent.models.servers.base import function_list
from deepagent.models.turns import Turns
from deepagent.tools import told
from deepagent.transcript import Function, Message, Segment


class LocalTokenizer:
    """Makes segments of text (`deepagent.models.servers.base.Tokenizing`).

    Args:
        tokenizer: a tokenizer of the transformers library.
        name: the model's, for messages.
        turns: what the model is shown is a turn of its own.
    """

    def __init__(self, tokenizer: Any, name: str, *, turns: bool = False) -> None:
        self._tokenizer = tokenizer
        self._name = name
        self._turns = turns
        self._marks: Turns | None = None

    async def prepare(self) -> None:
        """Learn the marks between turns, where there are any.

        Raises:
            ConfigError: the chat template cannot be cut into turns.
        """
        if self._turns and self._marks is None:
            self._marks = await Turns.learn(self)

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """See `Model.prompt`.

        Raises:
            ModelReplyError: the model's chat template refuses the messages.
        """
        asked = [{"role": message.role, "content": message.content} for message in messages]
        tools = function_list(functions) or None
        try:
            text = self._tokenizer.apply_chat_template(asked, tools=tools, add_generation_prompt=True, tokenize=False)
        except Exception as error:  # a template is a program of the model's publisher
            raise ModelReplyError(f"the chat template of {self._name} fails: {told(error)}") from error
        return Segment(kind="prompt", text=text, token_ids=self.encode(text))

    async def observation(self, text: str) -> Segment:
        """Text whose control tokens stay text."""
        ids = tuple(token for piece in split_control(text) for token in self.encode(piece))
        return Segment(kind="observation", text=text, token_ids=ids)

    async def lead(self, text: str) -> Segment | None:
        """See `Model.lead`; `prepare` comes first."""
        return await self.observation(text) if self._marks is not None else None

    async def shown(self, text: str, before: str, after: str) -> Segment:
        """See `Model.observation`; `prepare` comes first."""
        if self._marks is not None:
            return await self._marks.observation(self, text, before, after)
        return await self.observation(before + text + after)

    async def marks(self, text: str) -> Segment:
        """Text whose control tokens are meant."""
        return Segment(kind="observation", text=text, token_ids=self.encode(text))

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, control tokens as what they are."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    async def detokenize(self, ids: Sequence[int]) -> str:
        """`decode`, as `settle_tokens` wants it."""
        return self.decode(ids)
