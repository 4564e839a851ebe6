"""What the fake model says: a pure function of the request, in whatever way the client lets a model call tools."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from benchmarks.framework.script import ANSWER, MODEL, STEPS, TASK, TOOL, key, lookup

FINAL_TOOL = "final_answer"
"""Where this tool is offered, a run ends by calling it."""
CONTEXT = 131_072
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Reply:
    """One reply: text, or a tool call.

    Attributes:
        stop: the stop string at which the text was cut.
    """

    text: str = ""
    call: tuple[str, dict[str, str]] | None = None
    stop: str | None = None

    @property
    def finish(self) -> str:
        return "tool_calls" if self.call else "stop"


def reply(request: dict[str, Any]) -> Reply:
    """The next reply of the script, or a text that says what the client did wrong."""
    texts = [(message["role"], _text(message.get("content"))) for message in request["messages"]]
    asked = max((place for place, (_, text) in enumerate(texts) if TASK in text), default=None)
    if asked is None:
        return Reply(text="the request does not hold the task")
    since = texts[asked + 1 :]
    results = [text for role, text in since if role == "tool"] or [text for role, text in since if role == "user"]
    step = len(results) + 1
    if results and lookup(key(len(results))) not in results[-1]:
        return Reply(text=f"result {len(results)} is not that of its call: {results[-1]}")
    tools = [tool["function"]["name"] for tool in request.get("tools") or []]
    return _native(step, tools) if tools else _cut(_spelled(step, texts[0][1]), request.get("stop"))


def whole(said: Reply, size: int) -> dict[str, Any]:
    """The reply as one JSON object, to a request of `size` bytes."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
    if said.call:
        message["tool_calls"] = [_call(said)]
    return {
        "id": "reply",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": said.finish, "stop_reason": said.stop}],
        "usage": _usage(said, size),
    }


def events(said: Reply, size: int, *, with_usage: bool) -> list[dict[str, Any]]:
    """The reply as the events of a stream."""
    first: dict[str, Any] = {"role": "assistant", "content": ""}
    deltas = [first, {"tool_calls": [{"index": 0, **_call(said)}]} if said.call else {"content": said.text}, {}]
    told = [_event([{"index": 0, "delta": delta, "finish_reason": None if delta else said.finish}]) for delta in deltas]
    told[-1]["choices"][0]["stop_reason"] = said.stop
    return [*told, _event([]) | {"usage": _usage(said, size)}] if with_usage else told


def _native(step: int, tools: list[str]) -> Reply:
    if step < STEPS:
        return Reply(call=(TOOL, {"key": key(step)}))
    return Reply(call=(FINAL_TOOL, {"answer": ANSWER})) if FINAL_TOOL in tools else Reply(text=ANSWER)


def _spelled(step: int, instructions: str) -> str:
    """The action as text, in the spelling that the instructions teach."""
    last = step == STEPS
    if "<tool_call>" in instructions:
        call = json.dumps({"name": TOOL, "arguments": {"key": key(step)}})
        return f"<answer>{ANSWER}</answer>" if last else f"<tool_call>{call}</tool_call>"
    code = f'{FINAL_TOOL}("{ANSWER}")' if last else f'print({TOOL}(key="{key(step)}"))'
    return f"Thought: next.\n<code>\n{code}\n</code>"


def _cut(text: str, stops: list[str] | None) -> Reply:
    found = [(text.find(stop), stop) for stop in stops or [] if stop in text]
    if not found:
        return Reply(text=text)
    place, stop = min(found)
    return Reply(text=text[:place], stop=stop)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _call(said: Reply) -> dict[str, Any]:
    assert said.call is not None
    name, arguments = said.call
    held = json.dumps(arguments)
    return {"id": f"call-{held}", "type": "function", "function": {"name": name, "arguments": held}}


def _event(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "reply", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": choices}


def _usage(said: Reply, size: int) -> dict[str, Any]:
    prompt, made = size // BYTES_PER_TOKEN, 20
    details = {"cached_tokens": prompt - 1}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": details,
    }
