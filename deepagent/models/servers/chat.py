"""Servers that take messages only."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from deepagent.control import neutralise
from deepagent.errors import ModelError
from deepagent.models.base import Sampling
from deepagent.models.failures import RefusedError
from deepagent.models.reply import Reply, first_choice
from deepagent.models.servers.base import MOST_STOPS, Terms, function_list, response_format
from deepagent.models.transport import JsonObject
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, FunctionCall, Message, Segment, Window, function_name

_OPTIONAL = (
    "temperature", "top_p", "top_k", "seed", "stop", "stream_options", "reasoning_content", "reasoning", "max_tokens"
)  # fmt: skip
"""What a body can do without: no two hosted APIs take the same fields."""
_NOT_TAKEN = re.compile(
    r"(?i)unsupported|not? support|not (?:permitted|allowed)|unknown|unrecognized|unexpected|extra |deprecated"
)
"""Words of a server that does not take a field at all, rather than its value."""


class ChatServer:
    """The window as a conversation: what the model wrote is the assistant, what it observed is the user.

    Where the window offers functions, every piece is a message of its own, as the server's template wants it: calls
    inside the assistant's message, each answered by a message of the role `tool`.

    Args:
        model: name of the model.
        context: window in tokens.
        neutral: fields that switch off what the server would else add to the sampling.
    """

    kind = "chat API"
    path = "v1/chat/completions"
    abort_path = None

    def __init__(self, model: str, context: int, neutral: JsonObject | None = None) -> None:
        self.model = model
        self.context = context
        self.neutral = neutral or {}
        self.left_out: set[str] = set()
        """Fields that the server refused."""

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """The messages as text, for the log and the count; the server applies its template unseen."""
        tools = f"[tools]\n{json.dumps(function_list(functions), ensure_ascii=False)}\n\n" if functions else ""
        text = "".join(f"[{message.role}]\n{message.content}\n\n" for message in messages)
        return Segment(kind="prompt", text=tools + text)

    async def observation(self, text: str) -> Segment:
        """Text in which control tokens are broken up, as the server would read them."""
        return Segment(kind="observation", text=neutralise(text))

    async def marks(self, text: str) -> Segment:
        """The text as it is: here the server sets the marks."""
        return Segment(kind="observation", text=text)

    def request(self, window: Window, terms: Terms, id: str) -> JsonObject:
        """The body of a chat completion that continues the window."""
        messages = [*window.messages, *_appended(window)] if window.functions else _conversation(window)
        body = self.converse(messages, terms.sampling, terms.limit)
        if window.functions:
            # The functions stay when they may not be called: most templates have them in the prompt's beginning.
            choice = "auto" if terms.calls else "none"
            body |= {"tools": function_list(window.functions), "tool_choice": choice}
        if terms.stop and "stop" not in self.left_out:
            body["stop"] = list(terms.stop)[:MOST_STOPS]
        return body

    def converse(self, messages: Sequence[Message], sampling: Sampling, limit: int) -> JsonObject:
        """The body of a chat completion that answers messages."""
        body: JsonObject = {
            "model": self.model,
            "messages": [self._as_sent(message) for message in messages],
            "max_tokens": limit,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.neutral,
        }
        # Not part of every chat API, so only sent when they say something.
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if "max_tokens" in self.left_out:  # its name at some APIs
            body["max_completion_tokens"] = limit
        return {key: value for key, value in body.items() if key not in self.left_out}

    def held(self, schema: JsonSchema) -> JsonObject:
        """See `Server.held`."""
        return response_format(schema)

    def abort(self, id: str) -> JsonObject:
        """Nothing: closing the connection is all there is."""
        return {}

    def adapt(self, error: ModelError, body: JsonObject) -> bool:
        """Leave out what the server named in its refusal, if we can do without it."""
        if not isinstance(error, RefusedError) or error.status not in (400, 422):
            return False
        sent = _keys(body)
        named = next((key for key in _OPTIONAL if key in sent and re.search(rf"\b{key}\b", error.said)), None)
        if named is None or not _NOT_TAKEN.search(error.said):
            return False
        # A server that does not want one name for reasoning need not want the other.
        self.left_out |= {"reasoning", "reasoning_content"} if named.startswith("reasoning") else {named}
        return True

    def read(self, event: JsonObject, reply: Reply) -> None:
        """Reasoning is part of the stream of thought, whatever the server calls it."""
        choice = first_choice(event)
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        reply.seen = reply.seen or bool(choice)
        reply.report(event.get("usage"))
        reply.end(choice.get("finish_reason"))
        reply.write(delta.get("reasoning") or delta.get("reasoning_content"), reasoning=True)
        reply.write(delta.get("content"))
        calls = delta.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict):
                place = number if "message" in choice else call.get("index")  # a whole message holds whole calls
                reply.add_call(place, call.get("id"), function.get("name"), function.get("arguments"))
        stop = choice.get("stop_reason", choice.get("matched_stop"))
        if choice.get("finish_reason") == "stop" and isinstance(stop, str) and not reply.text.endswith(stop):
            reply.write(stop)

    async def settle(self, reply: Reply) -> Segment:
        """The text as it came, and as the message that is sent back."""
        calls = reply.calls
        message = Message(role="assistant", content=reply.content, reasoning=reply.reasoning, calls=calls)
        return Segment(kind="generated", text=message.text if calls else reply.text, message=message)

    def _as_sent(self, message: Message) -> JsonObject:
        """A message in the API's form. What the model wrote wrongly is put right: servers refuse it for ever after."""
        sent: JsonObject = {"role": message.role, "content": message.content}
        if message.images:
            pictures = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
            sent["content"] = [{"type": "text", "text": message.content}, *pictures]
        if message.answers is not None:
            sent["tool_call_id"] = message.answers
        if message.role == "assistant":
            sent["content"] = neutralise(message.content)
        if message.calls:
            sent["tool_calls"] = [_call_as_sent(call) for call in message.calls]
        if message.reasoning:
            # Servers read one or the other; what is left out here is missing from the prompt without a word.
            thought = neutralise(message.reasoning)
            sent |= {key: thought for key in ("reasoning", "reasoning_content") if key not in self.left_out}
        return sent


def read_answer(event: JsonObject, reply: Reply) -> None:
    """Read an event of a separate conversation: there the answer counts, without the reasoning before it."""
    choice = first_choice(event)
    delta = choice.get("delta") or choice.get("message")
    reply.seen = reply.seen or bool(choice)
    reply.report(event.get("usage"))
    reply.end(choice.get("finish_reason"))
    reply.write(delta.get("content") if isinstance(delta, dict) else None)


@functools.lru_cache(4096)
def _call_as_sent(call: FunctionCall) -> JsonObject:
    name = function_name(call.name) or "unknown"
    try:
        arguments = call.arguments if isinstance(json.loads(call.arguments), dict) else "{}"
    except (ValueError, RecursionError):
        arguments = "{}"
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": neutralise(arguments)}}


def _keys(body: JsonObject) -> set[str]:
    """The names of all fields that a body holds, those of its messages included."""
    messages: list[Any] = body.get("messages", [])
    return {*body, *(key for message in messages for key in message)}


def _appended(window: Window) -> list[Message]:
    """What came after the opening, message by message."""
    messages = []
    for segment in window.segments:
        if segment.message is not None:
            messages.append(segment.message)
        elif segment.kind != "prompt":
            messages.append(Message(role=_role(segment), content=segment.text))
    return messages


def _conversation(window: Window) -> list[Message]:
    """The window as messages; neighbours of one role are joined, since many templates demand turns."""
    messages = list(window.messages)
    for segment in window.segments:
        if segment.kind == "prompt":
            continue
        if messages and messages[-1].role == _role(segment):
            messages[-1] = Message(role=_role(segment), content=messages[-1].content + segment.text)
        else:
            messages.append(Message(role=_role(segment), content=segment.text))
    return messages


def _role(segment: Segment) -> Literal["assistant", "user"]:
    return "assistant" if segment.kind == "generated" else "user"
