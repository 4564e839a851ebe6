"""Actions as function calls of a chat API.

Search, execute and fold are functions beside the task's own; an answer is a reply without any call. The list of
functions is part of the prompt's beginning, so it never changes within a run: tools that a search finds are called
through one function that takes a name, and are named like functions only when they were shown from the start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from deepagent.actions import Action, Answer, Call, Execute, Fold, Malformed, Search
from deepagent.control import neutralise
from deepagent.dialects import bodies
from deepagent.dialects.base import Abilities, Opening, Parsed
from deepagent.dialects.tags import TagsDialect
from deepagent.errors import ToolDefinitionError
from deepagent.grammar import Grammar
from deepagent.tools import JsonSchema, ToolSpec, well_formed
from deepagent.transcript import Function, FunctionCall, Message, function_name

_DESCRIPTION_CHARS = 1000
_SCHEMA_DEPTH = 60
_TAGGED = re.compile(r"<(?:tool_search|tool_call|execute|answer)>|<fold_thought>|\\boxed\{")
_ROLE = """\
You solve the task step by step. Act by calling functions, and go on from what they return. Never guess a value that
can be looked up. When you have seen the answer in a result, reply with it alone, and call nothing."""


def _function(name: str, description: str, **fields: str) -> Function:
    properties = {field: {"type": "string", "description": note} for field, note in fields.items()}
    schema = {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}
    return Function(name=name, description=description, parameters=schema)


_SEARCH = _function(
    "tool_search", "Finds tools by what they do, and shows how to call them.", query="What the tool should do."
)
_CALL = Function(
    name="tool_call",
    description="Calls a tool that a search has found.",
    parameters={
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Name of the tool."},
            "arguments": {"type": "object", "description": "Its arguments by name."},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    },
)
_EXECUTE = _function(
    "execute",
    "Runs Python (standard library only) and shows what it prints. Variables persist; final_answer(x) ends the task.",
    code="The program.",
)
_TOOLS_INSIDE = (
    " Every tool that is known is a Python function there, called with named arguments; "
    "await name.aio(...) lets many run at one time."
)
_SEARCH_INSIDE = ' search_tools("what the tool should do") finds tools there.'
_FOLD = _function("fold_thought", "Compresses everything so far into memory. Only for a long history that went wrong.")


class NativeDialect:
    """Actions as function calls.

    Args:
        abilities: the actions that the run allows; others are not offered to the model.
    """

    stops: tuple[str, ...] = ()
    answer_start = ""

    def __init__(self, abilities: Abilities) -> None:
        self._abilities = abilities
        self._tags = TagsDialect(abilities)
        self._names: frozenset[str] = frozenset()  # of all functions
        self._shown: dict[str, str] = {}  # of those that are tools, and how the tools are called elsewhere

    def opening(self, task: str, shown: Sequence[ToolSpec], built_in: Sequence[ToolSpec]) -> Opening:
        """See `Dialect.opening`.

        Raises:
            ToolDefinitionError: a tool has the name of a function that is there already.
        """
        can = self._abilities
        about = _EXECUTE.description.replace("standard library only", can.libraries)
        if can.tools:
            about += _TOOLS_INSIDE + (_SEARCH_INSIDE if can.search else "")
        execute = _EXECUTE.model_copy(update={"description": about})
        functions = [
            *([_SEARCH] if can.search else []),
            *([_CALL] if can.search and can.call else []),
            *([execute] if can.execute else []),
            *([_FOLD] if can.fold else []),
        ]
        taken = {function.name for function in (_SEARCH, _CALL, _EXECUTE, _FOLD)}
        for spec in (*built_in, *shown) if can.call else ():
            name = function_name(spec.identifier)
            if name in taken:
                raise ToolDefinitionError(f"the name {spec.name!r} is built in or taken; rename your tool")
            taken.add(name)
            self._shown[name] = spec.name
            about = well_formed(spec.description[:_DESCRIPTION_CHARS])
            functions.append(Function(name=name, description=about, parameters=_loggable(spec.parameters)))
        self._names = frozenset(function.name for function in functions)
        guidance = f"\n\n{can.guidance}" if can.guidance else ""
        cards = "" if can.call else neutralise("\n".join(spec.card for spec in shown))
        tools = f"Tools, as Python functions:\n{cards}\n\n" if cards else ""
        messages = (
            Message(role="system", content=_ROLE + guidance),
            Message(role="user", content=f"{tools}Task: {task}"),
        )
        return Opening(messages, tuple(functions))

    def grammar(self, tools: Sequence[ToolSpec]) -> Grammar | None:
        """None: the server knows the functions' schemas itself."""
        return None

    def parse(
        self, text: str, finish: Literal["stop", "length", "watch"], message: Message | None = None
    ) -> Parsed | None:
        """See `Dialect.parse`. Calls that are written as text, for want of a parser at the server, are read too."""
        calls = message.calls if message is not None else ()
        thought = (message.content if message is not None else text).strip()
        if calls:
            thought = thought or (message.reasoning.strip() if message is not None else "")
            actions = tuple(self._action(call, cut=finish == "length") for call in calls)
            return Parsed(thought, actions[0], further=actions[1:], answers=tuple(call.id for call in calls))
        if finish == "length":
            return Parsed(thought, Malformed(problem="the reply was cut off before any call: be brief, act sooner"))
        said = thought.rpartition("</think>")[2].strip()
        if not said:
            return Parsed("", Malformed(problem="the reply is empty: call a function, or answer"), discard=True)
        return self._written(said, finish) or Parsed("", Answer(text=bodies.braced_or_plain(said)))

    def _written(self, text: str, finish: Literal["stop", "length", "watch"]) -> Parsed | None:
        """An action that was written as text: in our tags, or as the JSON of a call of a function that there is."""
        if _TAGGED.search(text):
            parsed = self._tags.parse(text, finish)
            return None if parsed is None or isinstance(parsed.action, Malformed) else replace(parsed, restore="")
        call = bodies.json_call(text)
        if call is None or call.name not in self._names:
            return None
        return Parsed("", self._action(FunctionCall(id="", name=call.name, arguments=json.dumps(call.arguments))))

    def _action(self, call: FunctionCall, *, cut: bool = False) -> Action:
        """What one function call means; unknown names are calls of tools, which the performer knows or looks up."""
        arguments = bodies.arguments(call.arguments, mend=not cut)  # never run half of a program
        if arguments is None:
            problem = "were cut off: be brief" if cut else f"are no JSON object: {call.arguments[:200]!r}"
            return Malformed(problem=f"the arguments of {call.name or 'a call'} {problem}")
        if call.name in self._shown:
            return Call(name=self._shown[call.name], arguments=arguments)
        if call.name == _SEARCH.name:
            return _with_text(arguments, "query", lambda query: Search(query=bodies.plain(query)))
        if call.name == _EXECUTE.name:
            return _with_text(arguments, "code", lambda code: Execute(code=bodies.unfenced(code)))
        if call.name == _FOLD.name:
            return Fold()
        if call.name == _CALL.name:
            return _named(arguments)
        return Call(name=call.name, arguments=arguments) if call.name else Malformed(problem="a call has no name")

    def watch(self) -> Callable[[str], bool]:
        """See `Dialect.watch`. The server itself ends a reply that calls."""
        return lambda delta: False

    def render(self, action: Action, observation: str) -> str:
        """See `Dialect.render`. A message of its own needs no tags."""
        return observation

    def push(self, action: Action) -> str:
        """See `Dialect.push`. Nothing can be put into the mouth of a model that is given messages."""
        return ""

    def memory(self, text: str) -> str:
        """See `Dialect.memory`."""
        return f"Memory of your work on this task:\n{text}"

    def demand_answer(self, reason: str) -> str:
        """See `Dialect.demand_answer`."""
        return f"{reason}. Give your final answer now, and call nothing."

    def demanded(self, text: str) -> str | None:
        """See `Dialect.demanded`."""
        return self._tags.demanded(text)


def _loggable(schema: JsonSchema) -> JsonSchema:
    """A foreign schema as the log and an API can write it; where it is nested too deeply, it says nothing."""
    try:
        return dict(bodies.clean(schema, _SCHEMA_DEPTH))
    except ValueError:
        return {"type": "object"}


def _with_text(arguments: dict[str, Any], field: str, make: Callable[[str], Action]) -> Action:
    text = arguments.get(field)
    if isinstance(text, str) and text.strip():
        return make(text)
    return Malformed(problem=f"the call needs {field!r}, a text that is not empty")


def _named(arguments: dict[str, Any]) -> Action:
    name, inner = arguments.get("name"), arguments.get("arguments", {})
    if isinstance(inner, str):
        inner = bodies.arguments(inner)
    if not isinstance(name, str) or not name.strip() or not isinstance(inner, dict):
        return Malformed(problem="tool_call needs the name of a tool and an object of arguments")
    return Call(name=name.strip(), arguments=inner)
