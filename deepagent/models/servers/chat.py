"""Servers that take messages only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from deepagent.models.base import Sampling
from deepagent.models.reply import Reply, first_choice
from deepagent.models.servers.base import neutralise
from deepagent.models.transport import JsonObject
from deepagent.transcript import Message, Segment, Window

MOST_STOPS = 4


class ChatServer:
    """The window as a conversation: what the model wrote is the assistant, what it observed is the user.

    Args:
        model: name of the model.
        context: window in tokens.
    """

    path = "v1/chat/completions"

    def __init__(self, model: str, context: int) -> None:
        self.model = model
        self.context = context

    async def prompt(self, messages: Sequence[Message]) -> Segment:
        """The messages as text, for the log and the count; the server applies its template unseen."""
        text = "".join(f"[{message.role}]\n{message.content}\n\n" for message in messages)
        return Segment(kind="prompt", text=text)

    async def observation(self, text: str) -> Segment:
        """Text in which control tokens are broken up, as the server would read them."""
        return Segment(kind="observation", text=neutralise(text))

    async def marks(self, text: str) -> Segment:
        """The text as it is: here the server sets the marks."""
        return Segment(kind="observation", text=text)

    def request(self, window: Window, sampling: Sampling, stop: Sequence[str], limit: int) -> JsonObject:
        """The body of a chat completion that continues the window."""
        return self.converse(_conversation(window), sampling, limit) | (
            {"stop": list(stop)[:MOST_STOPS]} if stop else {}
        )

    def converse(self, messages: Sequence[Message], sampling: Sampling, limit: int) -> JsonObject:
        """The body of a chat completion that answers messages."""
        body: JsonObject = {
            "model": self.model,
            "messages": [message.model_dump() for message in messages],
            "max_tokens": limit,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        # Not part of every chat API, so only sent when they say something.
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        return body

    def read(self, event: JsonObject, reply: Reply) -> None:
        """Reasoning is part of the stream of thought, whatever the server calls it."""
        choice = first_choice(event)
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        reply.seen = reply.seen or bool(choice)
        reply.report(event.get("usage"))
        reply.end(choice.get("finish_reason"))
        reply.write(delta.get("reasoning") or delta.get("reasoning_content"))
        reply.write(delta.get("content"))
        stop = choice.get("stop_reason", choice.get("matched_stop"))
        if choice.get("finish_reason") == "stop" and isinstance(stop, str) and not reply.text.endswith(stop):
            reply.write(stop)

    async def settle(self, reply: Reply) -> Segment:
        """The text as it came."""
        return Segment(kind="generated", text=reply.text)


def read_answer(event: JsonObject, reply: Reply) -> None:
    """Read an event of a separate conversation: there the answer counts, without the reasoning before it."""
    choice = first_choice(event)
    delta = choice.get("delta") or choice.get("message")
    reply.seen = reply.seen or bool(choice)
    reply.report(event.get("usage"))
    reply.end(choice.get("finish_reason"))
    reply.write(delta.get("content") if isinstance(delta, dict) else None)


def _conversation(window: Window) -> list[Message]:
    """The window as messages; neighbours of one role are joined, since many templates demand turns."""
    messages = list(window.messages)
    for segment in window.segments:
        if segment.kind == "prompt":
            continue
        role: Literal["assistant", "user"] = "assistant" if segment.kind == "generated" else "user"
        if messages and messages[-1].role == role:
            messages[-1] = Message(role=role, content=messages[-1].content + segment.text)
        else:
            messages.append(Message(role=role, content=segment.text))
    return messages
