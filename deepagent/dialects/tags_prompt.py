"""The system prompt of the tags dialect: short, because small models read it too, with one worked example.

The example looks values up before it uses them: what small models get wrong most is inventing arguments.
"""

from __future__ import annotations

from deepagent.dialects.base import Abilities

_ROLE = """\
You solve tasks step by step. Think briefly, then take exactly one action, then stop and wait for its result.
Never write a result yourself. Never guess a value that a tool can look up."""

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
_FOLD = """\
<fold_thought>
    compresses everything so far into memory. Use it when the history has grown long or went wrong."""
_ANSWER = """\
<answer>final answer</answer>
    ends the task. Give only the value asked for, and only after you have seen it in a result."""

_EXAMPLE_SEARCH = """\
I need the score of the player who leads group B. First I look for a tool.
<tool_search>players of a group and their scores</tool_search>
<tool_search_result>
list_players(group: str)
    Names of the players in a group.
player_score(player: str)
    Score of one player.
</tool_search_result>
"""
_EXAMPLE_CALL = """\
I do not know the players' names, so I look them up.
<tool_call>{"name": "list_players", "arguments": {"group": "B"}}</tool_call>
<tool_call_result>
["Ada", "Lin"]
</tool_call_result>
"""
_EXAMPLE_EXECUTE = """\
Now I compute with the names that I was given.
<execute>
scores = {name: player_score(player=name) for name in ["Ada", "Lin"]}
print(scores, max(scores.values()))
</execute>
<execute_result>
{'Ada': 31, 'Lin': 27} 31
</execute_result>
"""
_EXAMPLE_CALL_AGAIN = """\
<tool_call>{"name": "player_score", "arguments": {"player": "Ada"}}</tool_call>
<tool_call_result>
31
</tool_call_result>
"""
_EXAMPLE_PYTHON = """\
I need the days from 2024-02-20 to 2024-03-10. I compute it.
<execute>
from datetime import date
print((date(2024, 3, 10) - date(2024, 2, 20)).days)
</execute>
<execute_result>
19
</execute_result>
There are 19 days.
<answer>19</answer>"""
_EXAMPLE_ANSWER = """\
The highest score is 31.
<answer>31</answer>"""


def instructions(can: Abilities) -> str:
    """The system prompt for the actions that a run allows."""
    actions = {
        _SEARCH: can.search,
        _CALL: can.call,
        _EXECUTE_WITH_TOOLS if can.call else _EXECUTE: can.execute,
        _FOLD: can.fold,
        _ANSWER: True,
    }
    if not can.call:
        example = _EXAMPLE_PYTHON
    else:
        example = (
            (_EXAMPLE_SEARCH if can.search else "")
            + _EXAMPLE_CALL
            + (_EXAMPLE_EXECUTE if can.execute else _EXAMPLE_CALL_AGAIN)
            + _EXAMPLE_ANSWER
        )
    allowed = "\n".join(text for text, wanted in actions.items() if wanted)
    return f"{_ROLE}\n\nActions:\n{allowed}\n\nExample:\n{example}"


def reminder(can: Abilities) -> str:
    """The spellings at hand, in one line, for a reply that held no action."""
    tags = {"<tool_search>": can.search, "<tool_call>": can.call, "<execute>": can.execute}
    ways = [tag for tag, wanted in tags.items() if wanted]
    return f"Act with {', '.join([*ways, '<answer>'])}."
