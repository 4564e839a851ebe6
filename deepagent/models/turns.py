"""Observations as turns of their own, for models that were trained on conversations.

A reasoning model goes on in one stream of thought; a small instruct model does better when what it is shown comes as
the other side's turn. The marks between turns are learnt from the model's own template, so the stream stays
append-only: text that was sent is never rendered again.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepagent.errors import ConfigError
from deepagent.models.servers.base import Tokenizing
from deepagent.transcript import Message, Segment

_SAID, _SHOWN = "QUOKKA", "WOMBAT"
_PROBE = (
    Message(role="user", content="hello"),
    Message(role="assistant", content=_SAID),
    Message(role="user", content=_SHOWN),
)


@dataclass(frozen=True)
class Turns:
    """The template's text between what the model said and what it is shown, and from there to what it says next."""

    to_user: Segment
    to_assistant: Segment

    @classmethod
    async def learn(cls, server: Tokenizing) -> Turns:
        """Read the marks off a rendered conversation.

        Raises:
            ConfigError: the template changes the conversation, so that no marks can be told.
        """
        rendered = (await server.prompt(_PROBE)).text
        _, said, rest = rendered.partition(_SAID)
        to_user, shown, to_assistant = rest.partition(_SHOWN)
        if not said or not shown or not to_assistant:
            raise ConfigError("this model's chat template cannot be cut into turns: set turns to false")
        return cls(await server.marks(to_user), await server.marks(to_assistant))

    async def observation(self, server: Tokenizing, text: str, before: str, after: str) -> Segment:
        """End the model's turn, show the text, and open the model's next turn."""
        pieces = [
            *([await server.observation(before)] if before else []),
            self.to_user,
            await server.observation(text.strip("\n")),
            self.to_assistant,
            *([await server.observation(after)] if after else []),
        ]
        return Segment(
            kind="observation",
            text="".join(piece.text for piece in pieces),
            token_ids=tuple(token for piece in pieces for token in piece.token_ids or ()),
        )
