"""A run as conversations, one for each window, in the shape that fine-tuning takes (`messages`, and `tools`).

Where functions are called, the messages are those that were sent. Elsewhere the stream is cut into turns: what the
model wrote is the assistant's, what it was shown is the user's (as in CodeActInstruct, arXiv 2402.01030, section 3).
Replies that were left out of the stream are left out here. Assistant messages that the model did not write, those of
the worked example, have the weight 0, as chat fine-tuning spells it: they are not to be learnt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from deepagent.runs.events import Ended, Event, Noticed, Observed, Recorded, Replied, Started, WindowOpened
from deepagent.transcript import Message, Segment

_BLOCK = re.compile(
    r"<(tool_search_result|tool_call_result|execute_result|system_message|memory)>\n.*\n</\1>", re.DOTALL
)
"""What was shown, without the marks of the model's own template around it."""
_RESTORED = re.compile(r"\s*(</(?:tool_search|tool_call|execute|answer)>)")
"""A closing tag that the model or its server left out."""


def conversations(events: Sequence[Recorded]) -> Iterator[str]:
    """One line of JSON for each window of the run."""
    run, status = "", None
    windows: list[tuple[WindowOpened, list[Event]]] = []
    for recorded in events:
        event = recorded.event
        if isinstance(event, Started):
            run = event.run
        elif isinstance(event, WindowOpened):
            windows.append((event, []))
        elif isinstance(event, Ended):
            status = event.status
        elif windows:
            windows[-1][1].append(event)
    for opened, happened in windows:
        said = _Turns(opened)
        for one in happened:
            said.take(one)
        said.end()
        row: dict[str, Any] = {"run": run, "window": opened.number, "status": status, "messages": said.messages}
        if opened.functions:
            row["tools"] = [{"type": "function", "function": one.model_dump()} for one in opened.functions]
        yield json.dumps(row, ensure_ascii=False) + "\n"


class _Turns:
    """The messages of one window, as they come in."""

    def __init__(self, opened: WindowOpened) -> None:
        self.messages = [_message(message) for message in opened.messages]
        for message in self.messages:
            if message["role"] == "assistant":
                message["weight"] = 0
        self._reply: list[Segment] = []
        self._begun = opened.begun
        for segment in opened.segments[1 : -1 if opened.begun else None]:  # the memory of a fold
            self._show(segment)

    def take(self, event: Event) -> None:
        """A reply waits for what becomes of it; what is shown after it ends the turn."""
        if isinstance(event, Replied):
            self._reply.append(event.generated.segment)
        elif isinstance(event, Observed):
            if not event.dropped:
                self._speak(event.segment)
            self._reply.clear()
            self._show(event.segment, event.begun)
        elif isinstance(event, Noticed):
            self._speak(event.segment)
            self._show(event.segment)

    def end(self) -> None:
        """What the model wrote last is followed by nothing."""
        self._speak(None)

    def _speak(self, shown: Segment | None) -> None:
        """The model's turn, with the closing tag that follows it in what is shown."""
        if not self._reply:
            return
        last = self._reply[-1].message
        if last is not None:
            self.messages.append(_message(last))
        else:
            restored = _RESTORED.match(shown.text) if shown else None
            text = self._begun + "".join(segment.text for segment in self._reply)
            self._add("assistant", text + (restored[1] if restored else ""))
        self._reply.clear()
        self._begun = ""

    def _show(self, segment: Segment, begun: str = "") -> None:
        self._begun = begun
        if segment.message is not None:
            self.messages.append(_message(segment.message))
            return
        block = _BLOCK.search(segment.text)
        self._add("user", block.group() if block else segment.text.strip())

    def _add(self, role: str, content: str) -> None:
        """Turns alternate: what follows without a turn between belongs to the one before."""
        if self.messages and self.messages[-1]["role"] == role and "tool_calls" not in self.messages[-1]:
            self.messages[-1]["content"] += f"\n{content}"
        else:
            self.messages.append({"role": role, "content": content})


def _message(message: Message) -> dict[str, Any]:
    """As chat APIs spell it."""
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        said["reasoning"] = message.reasoning
    if message.calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    if message.answers is not None:
        said["tool_call_id"] = message.answers
    return said
