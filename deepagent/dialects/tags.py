"""The paper's tags, plus CodeAct's: actions inside one continuing stream of thought.

DeepAgent (arXiv 2510.21618) writes `<tool_search>`, `<tool_call>` and `<fold_thought>`; `<execute>` is CodeAct's
(arXiv 2402.01030). Small models make small mistakes, so reading is tolerant; it is also monotone: once a complete
action is seen, more text never changes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Literal

from deepagent.actions import Action, Answer, Call, Execute, Fold, Malformed, Search
from deepagent.control import neutralise
from deepagent.dialects import bodies
from deepagent.dialects.base import Abilities, Opening, Parsed
from deepagent.dialects.held import held_calls
from deepagent.dialects.tags_prompt import example, instructions, reminder
from deepagent.errors import UsageError
from deepagent.grammar import Grammar
from deepagent.tools import ToolSpec
from deepagent.transcript import Message

FOLD = "<fold_thought>"
_NAMES = ("tool_search", "tool_call", "execute", "answer")
_RESULTS = {"search": "tool_search_result", "call": "tool_call_result", "execute": "execute_result"}
_OPEN = re.compile(r"<(tool_search|tool_call|execute|answer)>")
_MARK = re.compile(
    r"<(/?)(tool_search|tool_call|execute|answer)>|<fold_thought>|\\boxed\{"
    r"|<(?P<ours>(?:tool_search|tool_call|execute)_result|system_message|memory)>"
)
_IMAGINED = "the reply wrote a result itself; act, then wait: results come from outside"
_REPEATING = "the reply says one line over and over"
_REPEATING_LINES, _REPEATING_CHARS = 12, 2000
_RESUME = {
    "tool_search_result": "<tool_search>",
    "tool_call_result": '<tool_call>{"name": "',
    "execute_result": "<execute>\n",
}
_TAG = re.compile(r"</?(?:tool_search|tool_call|execute|answer)>|<fold_thought>")
_OURS = re.compile(
    r"<(?=/?(?:(?:tool_search|tool_call|execute)(?:_result)?|answer|fold_thought|system_message|memory)>)"
)


class TagsDialect:
    """Actions as tags in one stream of text.

    Args:
        abilities: the actions that the run allows; others are not mentioned to the model.
    """

    stops = tuple(f"</{name}>" for name in _NAMES)
    answer_start = "<answer>"

    def __init__(self, abilities: Abilities) -> None:
        self._abilities = abilities

    def opening(self, task: str, shown: Sequence[ToolSpec], built_in: Sequence[ToolSpec]) -> Opening:
        """See `Dialect.opening`. Built-in tools are told of when they are needed."""
        # Tool descriptions may come from elsewhere: they must not open or close chat turns.
        cards = neutralise("\n".join(spec.card for spec in shown))
        tools = f"Tools:\n{cards}\n\n" if cards else ""
        return Opening(
            (
                Message(role="system", content=instructions(self._abilities)),
                *example(self._abilities),
                Message(role="user", content=f"{tools}Task: {task}"),
            )
        )

    def grammar(self, tools: Sequence[ToolSpec]) -> Grammar | None:
        """See `Dialect.grammar`. A call is held to the tools within reach and their schemas."""
        return held_calls("<tool_call>", "</tool_call>", tools) if self._abilities.call else None

    def parse(
        self, text: str, finish: Literal["stop", "length", "watch"], message: Message | None = None
    ) -> Parsed | None:
        """See `Dialect.parse`."""
        found = _complete(text)
        if found is not None:
            return found
        if _repeating(text):
            return Parsed("", Malformed(problem=_REPEATING), discard=True)
        opened = _last_open(text)
        if finish == "length":
            where = f"inside <{opened.group(1)}>" if opened else "before any action"
            return Parsed(text.strip(), Malformed(problem=f"the reply was cut off {where}: be brief, act sooner"))
        if opened is None:
            return bodies.without_tags(text)
        if any(text.endswith(stop) for stop in self.stops):
            return None  # a stop string inside another action's text, such as a tag quoted in code
        name = opened.group(1)
        action = _action(name, text[opened.end() :])
        return Parsed(text[: opened.start()].strip(), action, restore=f"</{name}>")

    def watch(self) -> Callable[[str], bool]:
        """See `Dialect.watch`."""
        seen = ""

        def feed(delta: str) -> bool:
            nonlocal seen
            seen += delta
            done = (">" in delta or "}" in delta) and _complete(seen) is not None
            return done or ("\n" in delta and _repeating(seen[-_REPEATING_CHARS:]))

        return feed

    def render(self, action: Action, observation: str) -> str:
        """See `Dialect.render`. Tags inside the observation are defused: results must not read as actions."""
        trailer = f" {reminder(self._abilities)}" if action.kind == "malformed" else ""
        return _block(_RESULTS.get(action.kind, "system_message"), observation, trailer)

    def push(self, action: Action) -> str:
        """See `Dialect.push`. A call that failed is begun with its name, up to the arguments."""
        if isinstance(action, Answer):
            return self.answer_start
        if isinstance(action, Execute) or not self._abilities.call:
            return _RESUME["execute_result"]
        if isinstance(action, Call):
            return f'{_RESUME["tool_call_result"]}{json.dumps(action.name)[1:-1]}", "arguments": {{'
        return _RESUME["tool_call_result"]

    def memory(self, text: str) -> str:
        """See `Dialect.memory`."""
        return _block("memory", text)

    def demand_answer(self, reason: str) -> str:
        """See `Dialect.demand_answer`."""
        return _block("system_message", f"{reason}. Give your final answer now.")

    def demanded(self, text: str) -> str | None:
        """See `Dialect.demanded`."""
        body = text.rpartition(self.answer_start)[2].partition("</answer>")[0].strip()
        return None if not body or _TAG.search(body) else bodies.braced_or_plain(body)


def spelled(action: Action) -> str:
    """An action as a model writes it that makes no mistakes, for oracles and demonstrations.

    Raises:
        UsageError: it is malformed, which nobody writes on purpose.
    """
    if isinstance(action, Search):
        return f"<tool_search>{action.query}</tool_search>"
    if isinstance(action, Call):
        body = json.dumps({"name": action.name, "arguments": action.arguments}, ensure_ascii=False)
        body = body.replace("<", "\\u003c")  # no tag inside
        return f"<tool_call>{body}</tool_call>"
    if isinstance(action, Execute):
        return f"<execute>\n{action.code}\n</execute>"
    if isinstance(action, Fold):
        return FOLD
    if isinstance(action, Answer):
        return f"<answer>{action.text}</answer>"
    raise UsageError(f"nobody writes {action.kind} actions on purpose; give another one")


def _block(tag: str, text: str, trailer: str = "") -> str:
    """A block whose text cannot pose as one of our tags; the trailer is ours and may name them."""
    return f"\n<{tag}>\n{_OURS.sub('&lt;', text).strip()}{trailer}\n</{tag}>\n"


def _complete(text: str) -> Parsed | None:
    """The first complete action of the text, if there is one.

    An opening tag that starts a line is binding: only its own closing tag ends it, so that code may quote tags. An
    opening tag in the middle of a line may be a mere mention: a later tag that opens and closes wins over it.
    """
    opened: re.Match[str] | None = None
    for mark in _MARK.finditer(text):
        closing, name = mark.group(1), mark.group(2)
        if name is None and (opened is None or not _starts_line(text, opened)):
            if mark.group("ours"):
                resume = _RESUME.get(mark.group("ours"), "")
                return Parsed(text[: mark.start()].strip(), Malformed(problem=_IMAGINED), discard=True, resume=resume)
            if mark.group() == FOLD:
                return Parsed(text[: mark.start()].strip(), Fold())
            boxed = bodies.braced(text, mark.end(), _next_tag(text, mark.end()))
            if boxed:
                return Parsed(text[: mark.start()].strip(), Answer(text=boxed))
        elif name and not closing:
            if opened is None or not _starts_line(text, opened):
                opened = mark
        elif name and opened is not None and opened.group(2) == name:
            return Parsed(text[: opened.start()].strip(), _action(name, text[opened.end() : mark.start()]))
        elif name and opened is None:
            fenced = bodies.last_fence(text[: mark.start()])
            if name in ("execute", "tool_call") and fenced is not None:  # the opening tag was forgotten
                return Parsed(fenced.before.strip(), _action(name, fenced.body))
    return None


def _repeating(text: str) -> bool:
    """Whether the last whole lines are one and the same: a small model does not come out of that by itself."""
    lines = text.rsplit("\n", _REPEATING_LINES + 1)[1:-1]
    return len(lines) == _REPEATING_LINES and len(set(lines)) == 1 and bool(lines[0].strip())


def _next_tag(text: str, start: int) -> int:
    following = _TAG.search(text, start)
    return following.start() if following else len(text)


def _last_open(text: str) -> re.Match[str] | None:
    last = None
    for last in _OPEN.finditer(text):
        if _starts_line(text, last):
            return last
    return last


def _starts_line(text: str, mark: re.Match[str]) -> bool:
    return not text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()].strip()


def _action(name: str, body: str) -> Action:
    stripped = body.strip()
    if not stripped:
        return Malformed(problem=f"<{name}> is empty")
    if name == "tool_search":
        return Search(query=bodies.plain(stripped))
    if name == "execute":
        return Execute(code=bodies.unfenced(body))
    if name == "answer":
        return Answer(text=bodies.braced_or_plain(stripped))
    call = bodies.call(stripped)
    if isinstance(call, Call):
        return call
    return Malformed(problem=call)
