"""A game in TextWorld's engine: one environment for one run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from deepagent.actions import Frozen
from deepagent.errors import UsageError
from deepagent.toolsets.alfworld.goals import Goal
from deepagent.toolsets.alfworld.rooms import Entity, escaped, make, problem, tables

_UNKNOWN = "UNKNOWN GOAL"


class Game(Frozen):
    """A game as ALFWorld's files hold it.

    Attributes:
        walkthrough: commands that win it.
    """

    pddl_domain: str
    grammar: str
    pddl_problem: str
    walkthrough: tuple[str, ...]


def generated(goal: Goal, trial: int) -> Game:
    """A game made offline for a trial of a goal, the same every time.

    Raises:
        UsageError: the engine is not installed.
    """
    known = tables()
    room = make(goal, trial, known)
    names = _names(["agent1", *(escaped(one.id) for one in (*room.receptacles, *room.objects))])

    def named(one: Entity) -> str:
        return names[escaped(one.id).lower()]

    data = resources.files("alfworld").joinpath("data")
    grammar = data.joinpath("alfred.twl2").read_text(encoding="utf-8")
    return Game(
        pddl_domain=data.joinpath("alfred.pddl").read_text(encoding="utf-8"),
        grammar=grammar.replace(_UNKNOWN, goal.sentence),
        pddl_problem=problem(room, known),
        walkthrough=tuple(command.verb.format(*map(named, command.about)) for command in room.plan),
    )


def official(path: Path) -> Game:
    """A game of the original, `game.tw-pddl`.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        data = json.loads(path.read_bytes())
        kept = {key: data[key] for key in ("pddl_domain", "grammar", "pddl_problem")}
        return Game(**kept, walkthrough=tuple(data.get("walkthrough") or ()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no game of ALFWorld ({type(error).__name__}: {error})") from error


def receptacles(problem: str) -> list[str]:
    """What the receptacles of a game are called, from its PDDL problem, in the order of their names.

    Raises:
        UsageError: the engine is not installed.
    """
    names = _names(re.findall(r"^\s*(\w\S*) - receptacle\s*$", problem, re.MULTILINE))
    return sorted(names.values(), key=lambda name: (name.rstrip("0123456789"), int(name.rpartition(" ")[2])))


class Engine:
    """Plays a game.

    Args:
        game: what is played.

    Attributes:
        intro: what the player sees first, the task included.
        won: whether the goal's conditions hold.
    """

    def __init__(self, game: Game) -> None:
        try:
            from textworld import EnvInfos
            from textworld.envs.pddl import PddlEnv
        except ImportError as error:
            raise UsageError("ALFWorld needs its engine; pip install 'deepagent[alfworld]'") from error
        self._env: Any = PddlEnv(EnvInfos(won=True, admissible_commands=True))
        self._env.load(game.model_dump(include={"pddl_domain", "grammar", "pddl_problem"}))
        infos = self._env._entity_infos  # where the package's own wrapper puts the names too
        names = _names(infos)
        for info in infos.values():
            info.name = names[info.id]
        self._state: Any = self._env.reset()
        self.intro: str = self._state.feedback

    @property
    def won(self) -> bool:
        """Whether the goal's conditions hold now."""
        return bool(self._state["won"])

    @property
    def commands(self) -> Sequence[str]:
        """What can be done now."""
        found: list[str] = self._state["admissible_commands"]
        return found

    @property
    def facts(self) -> set[tuple[str, ...]]:
        """What is true now: predicate and ids, in lower case."""
        return {(fact.name.lower(), *(one.name.lower() for one in fact.arguments)) for fact in self._state["_facts"]}

    def step(self, command: str) -> str:
        """Do it. Returns what is seen then; what cannot be done changes nothing."""
        self._state, _, _ = self._env.step(command)
        seen: str = self._state.feedback
        return seen

    def close(self) -> None:
        """End the environment."""
        self._env.close()


def _names(ids: Iterable[str]) -> dict[str, str]:
    """What things are called, such as `apple 2`, by id in lower case; by the package's own rule."""
    try:
        from alfworld.agents.utils.misc import Demangler
    except ImportError as error:
        raise UsageError("ALFWorld needs its engine; pip install 'deepagent[alfworld]'") from error
    lower = sorted({id.lower() for id in ids})
    rule = Demangler(game_infos={id: SimpleNamespace(id=id) for id in lower})
    return {id: rule.demangle_alfred_name(id).strip() for id in lower}
