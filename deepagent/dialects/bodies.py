"""Reading what stands inside an action: JSON with small errors, fenced code, braces."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from deepagent.actions import Answer, Call, Execute, Malformed
from deepagent.dialects.base import Parsed
from deepagent.tools import well_formed

_FENCE = re.compile(r"```([A-Za-z0-9_+-]*)[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_MAX_REPAIR = 200_000
_DEPTH = 100
_VALUE_CHARS, _VALUE_WORDS = 200, 3
_LITERAL = re.compile(r"""[\[({].*[\])}]|(["'`]).*\1|[-+$]?\d[-\d,. ]*%?""")
_HOW_TO_CALL = 'write {"name": "tool_name", "arguments": {...}}'


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language, its body and the text before it."""

    language: str
    body: str
    before: str


def last_fence(text: str) -> Fence | None:
    """The last fenced block of the text."""
    fences = list(_FENCE.finditer(text))
    if not fences:
        return None
    return Fence(fences[-1].group(1).lower(), fences[-1].group(2), text[: fences[-1].start()])


def unfenced(code: str) -> str:
    """Code without the fences that models like to put around it, and without common indentation."""
    fence = last_fence(code)
    if fence is not None and not fence.before.strip():
        return fence.body.strip("\n")
    return code.strip("\n")


def plain(text: str) -> str:
    """A one-line text without the quotes that models put around it."""
    line = " ".join(text.split())
    return line[1:-1].strip() if len(line) > 2 and line[0] == line[-1] and line[0] in "\"'`" else line


def braced(text: str, start: int, end: int) -> str | None:
    """The text from `start` to the brace that closes the one before `start`; None if none does before `end`."""
    depth = 1
    for position in range(start, end):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start:position].strip()
    return None


def braced_or_plain(text: str) -> str:
    r"""An answer, taken out of \boxed{...} when it is nothing but that."""
    if text.startswith("\\boxed{"):
        inner = braced(text, len("\\boxed{"), len(text))
        if inner and text.endswith("}"):
            return inner
    return text


def call(text: str) -> Call | str:
    """Read a tool call; a text says what is wrong with it."""
    body = unfenced(text).strip()
    value = _json(body)
    if not isinstance(value, dict):
        return _python_call(body) or f"the tool call is not JSON: {_HOW_TO_CALL}"
    function = value.get("function")
    if isinstance(function, dict):
        value = function
    name = value.get("name") or value.get("tool") or value.get("tool_name")
    if not isinstance(name, str) or not name:
        return f"the tool call has no name: {_HOW_TO_CALL}"
    arguments: Any = next((value[key] for key in ("arguments", "parameters", "args", "input") if key in value), {})
    if isinstance(arguments, str):
        arguments = _json(arguments)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        return f"the arguments are not a JSON object: {_HOW_TO_CALL}"
    return Call(name=name.strip(), arguments=arguments)


def arguments(text: str, *, mend: bool = True) -> dict[str, Any] | None:
    """The arguments of a function call; None when they are no JSON object, not even with small errors mended."""
    value = _json(text, mend=mend) if text.strip() or not mend else {}
    return value if isinstance(value, dict) else None


def json_call(text: str) -> Call | None:
    """A call that is written as JSON and nothing else, fenced or not."""
    fence = last_fence(text)
    body = (fence.body if fence is not None and fence.language in ("json", "") else text).strip()
    read = call(body) if body.startswith("{") and body.endswith("}") else None
    return read if isinstance(read, Call) else None


def without_tags(text: str) -> Parsed:
    """A reply that ended without any tag: a fenced block or a bare value is taken for what it plainly is."""
    fence = last_fence(text)
    if fence is not None and fence.body.strip():
        if fence.language in ("python", "py"):
            return Parsed(fence.before.strip(), Execute(code=fence.body.strip("\n")))
        if fence.language in ("json", ""):
            read = call(fence.body)
            if isinstance(read, Call):
                return Parsed(fence.before.strip(), read)
    if _is_value(text.strip()):
        return Parsed("", Answer(text=plain(text)), bare=True)
    return Parsed(text.strip(), Malformed(problem="the reply holds no action"))


def _is_value(text: str) -> bool:
    """Whether a text is a value and no sentence: a literal, or a few words without a full stop."""
    if not text or "\n" in text or "<" in text or len(text) > _VALUE_CHARS:
        return False
    if _LITERAL.fullmatch(text):
        return True
    return len(text.split()) <= _VALUE_WORDS and text[-1] not in ".:!?,;"


def _json(text: str, *, mend: bool = True) -> Any:
    try:
        return clean(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        pass
    if not mend or "{" not in text or len(text) > _MAX_REPAIR:
        return None
    from json_repair import repair_json

    try:
        return clean(repair_json(text[text.index("{") :], return_objects=True))
    except (ValueError, RecursionError):
        return None


def clean(value: Any, depth: int = _DEPTH) -> Any:
    """A JSON value without lone surrogates, which escapes can smuggle into any text.

    Raises:
        ValueError: it is nested more deeply than a log can write.
    """
    if isinstance(value, str):
        return well_formed(value)
    if not isinstance(value, (list, dict)):
        return value
    if not depth:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [clean(item, depth - 1) for item in value]
    return {well_formed(key): clean(item, depth - 1) for key, item in value.items()}


def _python_call(text: str) -> Call | None:
    """`f(a=1)` where JSON was asked for: accepted when every argument is a named literal."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name):
        return None
    try:
        arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
        arguments = clean(json.loads(json.dumps(arguments)))
    except (ValueError, TypeError, RecursionError):
        return None
    return Call(name=node.func.id, arguments=arguments)
