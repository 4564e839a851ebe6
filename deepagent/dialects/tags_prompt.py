"""What the tags dialect tells the model: short, because small models read it too, and an example as turns.

The examples look values up before they use them and repair what failed: what small models get wrong most is inventing
arguments, and giving an error as the answer.
"""

from __future__ import annotations

from deepagent.dialects.base import Abilities
from deepagent.transcript import Message

_ROLE = """\
You solve tasks step by step. Each time, think briefly, then take exactly one action, then stop and wait for its result.
Never write a result yourself, and never guess a value that can be looked up."""

_SEARCH = """\
<tool_search>what the tool should do</tool_search>
    finds tools. Search before you call a tool that you have not seen."""
_CALL = """\
<tool_call>{"name": "tool_name", "arguments": {"parameter": "value"}}</tool_call>
    calls one tool."""
_EXECUTE = """\
<execute>
print(1 + 1)
</execute>
    runs Python (standard library only) and shows what it prints. Variables persist."""
_EXECUTE_WITH_TOOLS = f"""\
{_EXECUTE} Every tool is a function there, called
    with named arguments: print(tool_name(parameter="value"))"""
_SEARCH_INSIDE = """
    search_tools("what the tool should do") finds tools there."""
_ANSWER_INSIDE = """
    final_answer(value) there ends the task."""
_FOLD = """\
<fold_thought>
    compresses everything so far into memory. Only for a long history that went wrong."""
_ANSWER = """\
<answer>final answer</answer>
    ends the task. Give only the value asked for, and only after you have seen it in a result."""

_ASK = "Task: Which player of group B has the highest score?"
_SEARCH_TURNS = (
    "First I look for a tool.\n<tool_search>players of a group and their scores</tool_search>",
    "<tool_search_result>\nlist_players(group: str)\n    Names of the players in a group.\n"
    "player_score(player: str)\n    Score of one player.\n</tool_search_result>",
)
_CALL_TURNS = (
    "I do not know the names, so I look them up.\n"
    '<tool_call>{"name": "list_players", "arguments": {"group": "B"}}</tool_call>',
    "<tool_call_result>\nerror: unknown group 'B'; known groups are 'group A' and 'group B'\n</tool_call_result>",
    "The group is called 'group B'.\n"
    '<tool_call>{"name": "list_players", "arguments": {"group": "group B"}}</tool_call>',
    '<tool_call_result>\n["Ada", "Lin"]\n</tool_call_result>',
)
_EXECUTE_TURNS = (
    "Now I compute with these names.\n<execute>\n"
    'scores = {name: player_score(player=name) for name in ["Ada", "Lin"]}\nprint(scores)\n</execute>',
    "<execute_result>\n{'Ada': 31, 'Lin': 27}\n</execute_result>",
)
_CODE_TURNS = (
    'I do not know the names, so I look them up.\n<execute>\nprint(list_players(group="B"))\n</execute>',
    "<execute_result>\nerror: unknown group 'B'; known groups are 'group A' and 'group B'\n</execute_result>",
    "The group is called 'group B'.\n<execute>\n"
    'names = list_players(group="group B")\nprint({name: player_score(player=name) for name in names})\n</execute>',
    "<execute_result>\n{'Ada': 31, 'Lin': 27}\n</execute_result>",
)
_CALL_AGAIN_TURNS = (
    '<tool_call>{"name": "player_score", "arguments": {"player": "Ada"}}</tool_call>',
    "<tool_call_result>\n31\n</tool_call_result>",
    '<tool_call>{"name": "player_score", "arguments": {"player": "Lin"}}</tool_call>',
    "<tool_call_result>\n27\n</tool_call_result>",
)
_END = ("Ada has the highest score, 31.\n<answer>Ada</answer>",)

_PYTHON_TURNS = (
    "I compute it.\n<execute>\nimport numpy\nprint(numpy.median([3, 9, 4, 8]))\n</execute>",
    "<execute_result>\nModuleNotFoundError: No module named 'numpy'\n</execute_result>",
    "There is no numpy, so I write it without.\n<execute>\nvalues = sorted([3, 9, 4, 8])\n"
    "print((values[1] + values[2]) / 2)\n</execute>",
    "<execute_result>\n6.0\n</execute_result>",
    "The median is 6.\n<answer>6</answer>",
)


def instructions(can: Abilities) -> str:
    """The system prompt for the actions that a run allows."""
    execute = _EXECUTE_WITH_TOOLS if can.tools else _EXECUTE
    execute = execute.replace("standard library only", can.libraries)
    execute += (_SEARCH_INSIDE if can.search else "") + _ANSWER_INSIDE
    actions = {
        _SEARCH: can.search,
        _CALL: can.call,
        execute: can.execute,
        _FOLD: can.fold,
        _ANSWER: True,
    }
    guidance = f"\n\n{can.guidance}" if can.guidance else ""
    return f"{_ROLE}\n\nActions:\n" + "\n".join(text for text, wanted in actions.items() if wanted) + guidance


def example(can: Abilities) -> tuple[Message, ...]:
    """A worked example as the turns before the task."""
    if not can.example:
        return ()
    if can.call:
        ask = _ASK
        turns = (
            (_SEARCH_TURNS if can.search else ())
            + _CALL_TURNS
            + (_EXECUTE_TURNS if can.execute else _CALL_AGAIN_TURNS)
            + _END
        )
    elif can.tools and can.execute:
        ask = _ASK
        turns = (_SEARCH_TURNS if can.search else ()) + _CODE_TURNS + _END
    elif can.packages:
        return ()  # the other example does without any
    else:
        ask = "Task: What is the median of 3, 9, 4 and 8?"
        turns = _PYTHON_TURNS
    messages = [Message(role="user", content=ask)]
    for number, text in enumerate(turns):
        messages.append(Message(role="user" if number % 2 else "assistant", content=text))
    return tuple(messages)


def reminder(can: Abilities) -> str:
    """The spellings at hand, in one line, for a reply that held no action."""
    tags = {"<tool_search>": can.search, "<tool_call>": can.call, "<execute>": can.execute}
    ways = [tag for tag, wanted in tags.items() if wanted]
    return f"Act with {', '.join([*ways, '<answer>'])}."
