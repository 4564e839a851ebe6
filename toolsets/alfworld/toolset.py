"""ALFWorld's actions as tools."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from deepagent.errors import ToolFailedError
from deepagent.tools import Arguments, Tool, ToolSpec
from deepagent.toolsets.alfworld.engine import Engine, Game
from deepagent.toolsets.alfworld.goals import Goal
from deepagent.toolsets.functions import in_daemon_thread

_NOTHING = "Nothing happens."
_MIDDLE = "You are in the middle of a room. Looking quickly around you, you see nothing."
_NAMED = 30
_ALWAYS = ("go", "look", "inventory", "help", "examine")
"""Verbs of commands that are no help to who wanted another one."""
_PARAMETERS = {"thing": "its name and number", "receptacle": "its name and number"}
ACTIONS = (
    ("go_to", "go to {receptacle}", "Goes to a receptacle. Returns what is seen there."),
    ("open_receptacle", "open {receptacle}", "Opens the receptacle that you are at. Returns what is in it."),
    ("close_receptacle", "close {receptacle}", "Closes the receptacle that you are at."),
    ("take", "take {thing} from {receptacle}", "Takes a thing from the receptacle that you are at. You can hold one."),
    ("move", "move {thing} to {receptacle}", "Puts the thing that you hold into or onto the receptacle you are at."),
    ("use", "use {thing}", "Turns on the lamp that is where you are."),
    ("clean", "clean {thing} with {receptacle}", "Cleans the thing that you hold with the sink that you are at."),
    ("heat", "heat {thing} with {receptacle}", "Heats the thing that you hold with the microwave that you are at."),
    ("cool", "cool {thing} with {receptacle}", "Cools the thing that you hold with the fridge that you are at."),
    ("examine", "examine {thing}", "Looks closely at the receptacle that you are at, or at a thing there."),
    ("inventory", "inventory", "Tells what you hold."),
    ("look", "look", "Looks around: at first it names all receptacles of the room."),
)
"""Each tool's name, its command in the engine's language, and what it does."""

_STATES = {
    "pick_clean_then_place_in_recep": "isclean",
    "pick_heat_then_place_in_recep": "ishot",
    "pick_cool_then_place_in_recep": "iscool",
}


class AlfWorld:
    """An environment: one game, in an engine of its own. It is done when the goal is reached, or at a limit of steps.

    Args:
        load: gives the game; called when the toolset is entered, in a thread, as it takes seconds.
        goal: what the sub-goals are read from; None where it is not known.
        steps: most commands that are carried out.
    """

    name = "alfworld"

    def __init__(self, load: Callable[[], Game], goal: Goal | None = None, steps: int = 50) -> None:
        self._load = load
        self._goal = goal
        self._left = steps
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._reached: set[str] = set()
        self.won = False
        """Whether the goal's conditions held after a command; nothing can undo it."""
        self.tools = tuple(self._tool(*action) for action in ACTIONS)

    @property
    def done(self) -> bool:
        """Whether the game is over: won, or at its limit."""
        return self.won or self._left <= 0

    @property
    def sub_goals(self) -> float | None:
        """Share of the steps to the goal that the room's state has shown; None where they are not known."""
        wanted = sub_goals(self._goal) if self._goal else ()
        return len(self._reached & set(wanted)) / len(wanted) if wanted else None

    async def __aenter__(self) -> Self:
        self._engine = await asyncio.to_thread(lambda: Engine(self._load()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self._engine.close()

    def act(self, command: str) -> str:
        """Carry out a command of the engine's own language. Returns what is seen then.

        Raises:
            ToolFailedError: the game is over, or it cannot be done here; the message says what can.
        """
        engine = self._engine
        assert engine is not None, "used inside `async with` only"
        with self._lock:  # code can call several tools at a time
            if self.done:
                raise ToolFailedError("the game is over; answer that you are done")
            self._left -= 1
            able = engine.commands
            seen = engine.step(" ".join(command.split()).lower())
            self.won = self.won or engine.won
            if self._goal:
                self._reached |= reached(self._goal, engine.facts)
        if seen == _NOTHING:
            raise ToolFailedError(f"{_NOTHING} {_instead(command, able)}")
        # In the middle of the room the engine's own `look` sees nothing; the original shows it once, at first.
        return engine.intro if seen == _MIDDLE else seen

    def _tool(self, name: str, command: str, description: str) -> Tool:
        parameters = re.findall(r"{(\w+)}", command)
        schema = {
            "type": "object",
            "properties": {one: {"type": "string", "description": _PARAMETERS[one]} for one in parameters},
            "required": parameters,
        }

        async def invoke(arguments: Arguments) -> str:
            seen: str = await in_daemon_thread(self.act, {"command": command.format(**arguments)})
            return seen

        return Tool(ToolSpec(name=name, description=description, parameters=schema, toolset=self.name), invoke)


def _instead(command: str, able: Sequence[str]) -> str:
    """What can be done: with the same verb, or at all at this place."""
    verb = command.split(maxsplit=1)[0]
    same = [one for one in able if one.split(maxsplit=1)[0] == verb]
    if same:
        return f"Here you can {', '.join(same[:_NAMED])}."
    others = [one for one in able if one.split(maxsplit=1)[0] not in _ALWAYS]
    if not others:
        return f"Here you can not {verb} anything; go to a receptacle first."
    return f"Now you can not {verb} anything; you can {', '.join(others[:_NAMED])}, or go elsewhere."


def sub_goals(goal: Goal) -> tuple[str, ...]:
    """The steps to a goal, by name."""
    if goal.kind == "look_at_obj_in_light":
        return ("held", "lamp on")
    if goal.kind == "pick_two_obj_and_place":
        return ("held", "one placed", "two placed")
    return ("held", *([_STATES[goal.kind]] if goal.kind in _STATES else []), "one placed")


def reached(goal: Goal, facts: set[tuple[str, ...]]) -> set[str]:
    """The steps that a state shows."""
    things = {fact[1] for fact in facts if fact[0] == "objecttype" and fact[2] == f"{goal.thing}type".lower()}
    lamps = {fact[1] for fact in facts if fact[0] == "objecttype" and fact[2] == f"{goal.lamp}type".lower()}
    targets = {fact[1] for fact in facts if fact[0] == "receptacletype" and fact[2] == f"{goal.target}type".lower()}
    placed = [fact for fact in facts if fact[0] == "inreceptacle" and fact[1] in things and fact[2] in targets]
    state = _STATES.get(goal.kind, "")
    shown = {
        "held": any(fact[0] == "holds" and fact[2] in things for fact in facts),
        "lamp on": any(fact[0] == "istoggled" and fact[1] in lamps for fact in facts),
        "one placed": len(placed) >= 1,
        "two placed": len(placed) >= 2,
        state: any(fact[0] == state and fact[1] in things for fact in facts),
    }
    return {name for name, true in shown.items() if true}
