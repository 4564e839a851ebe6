"""ALFWorld: a household task in a room that is only seen by going about in it.

An episode succeeds when the goal's conditions hold in the engine's state. DeepAgent's run read success from a flag that
is also set when an episode is at its limit of steps (`published`); here the limit is never a success (`corrected`).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import get_args

from pydantic import Field

from deepagent.actions import Action, Answer, Call
from deepagent.errors import UsageError
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.toolsets.alfworld.engine import Game, generated, official, receptacles
from deepagent.toolsets.alfworld.goals import Goal, Kind, goals
from deepagent.toolsets.alfworld.rooms import make, problem, tables
from deepagent.toolsets.alfworld.toolset import ACTIONS, AlfWorld

_PROMPT = """You are in a room of a house, and have {steps} steps to do a task in it. Go to receptacles to see what is \
there, open those that are closed, take what you need, and do with it what the task says, each time going where that \
can be done. You can hold one thing at a time. When the task is done the game ends by itself.

Around you are {receptacles}.

Your task: {task}."""
_TASK = re.compile(r"Your task is to: (.*?)\.?(?:\\n|\"|$)")
_FOLDER = re.compile(r"(?P<kind>[a-z_]+)-(?P<thing>\w+)-None-(?P<place>\w+)-(?P<room>\d+)")


class AlfWorldConfig(BenchmarkConfig):
    """Which games are played."""

    games: Path | None = None
    """Folder of the original's games (`json_2.1.1/valid_unseen`); by default games are made from ALFRED's goals."""
    count: int = Field(134, ge=1)
    """How many are made of the 4,839 trials; as many as the original's unseen split has."""
    seed: int = 0
    """Another seed draws other ones."""
    steps: int = Field(50, ge=1)
    """Most commands in a game."""


class AlfWorldBenchmark(Benchmark[AlfWorldConfig]):
    """The benchmark."""

    name = "alfworld"
    about = "household tasks in rooms that are only seen by going about in them"
    modes = ("labelled",)
    metrics = (
        Metric(name="success", meaning="the goal's conditions were reached", binary=True, published=True),
        Metric(name="sub_goals", meaning="share of the steps to the goal that the room's state has shown"),
    )
    Config = AlfWorldConfig

    @cached_property
    def _games(self) -> dict[str, _Found]:
        return _found(self.config.games) if self.config.games else _drawn(self.config.count, self.config.seed)

    def tasks(self) -> Sequence[BenchmarkTask]:
        """One task a game."""
        return [
            BenchmarkTask(
                id=id,
                prompt=_PROMPT.format(steps=self.config.steps, receptacles=", ".join(game.receptacles), task=game.task),
                tags={"kind": game.goal.kind} if game.goal else {},
                data={"task": game.task},
            )
            for id, game in self._games.items()
        ]

    def world(self, task: BenchmarkTask) -> AlfWorld:
        """The game, in an engine of its own."""
        game = self._games[task.id]
        return AlfWorld(game.load, game.goal, self.config.steps)

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Read it from the engine."""
        world = episode.world
        won, done = (world.won, world.done) if isinstance(world, AlfWorld) else (False, False)
        goal = self._games[episode.task.id].goal
        part = world.sub_goals if isinstance(world, AlfWorld) else (0.0 if goal else None)
        return Score(
            values={
                "success": Value(published=float(done), corrected=float(won)),
                "sub_goals": Value(published=part, corrected=part),
            }
        )

    def oracle(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """The game's own walkthrough."""
        steps = self._games[task.id].load().walkthrough
        return [*map(called, steps), Answer(text="It is done.")] if steps else None


@dataclass(frozen=True)
class _Found:
    """A game that can be played.

    Attributes:
        task: in words.
        goal: None where it is not known.
        receptacles: what stands in the room, as the player is told at first.
    """

    task: str
    goal: Goal | None
    receptacles: Sequence[str]
    load: Callable[[], Game]


def called(command: str) -> Call:
    """A command of the engine as a call of a tool."""
    for name, template, _ in ACTIONS:
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>.+)", template)
        if match := re.fullmatch(pattern, command.strip()):
            return Call(name=name, arguments=match.groupdict())
    raise UsageError(f"a walkthrough holds {command[:80]!r}, which is no command")


def _drawn(count: int, seed: int) -> dict[str, _Found]:
    known = tables()
    trials = [(goal, trial) for goal in goals() for trial in range(goal.trials)]
    drawn = random.Random(f"games {seed}").sample(trials, min(count, len(trials)))  # noqa: S311 # nothing secret
    return {
        f"{goal.id}/{trial}": _Found(
            goal.sentence,
            goal,
            receptacles(problem(make(goal, trial, known), known)),
            partial(generated, goal, trial),
        )
        for goal, trial in drawn
    }


def _found(folder: Path) -> dict[str, _Found]:
    made: dict[str, _Found] = {}
    for path in sorted(folder.rglob("game.tw-pddl")):
        id = path.parent.relative_to(folder).as_posix()
        if "movable" in id or "Sliced" in id:  # as the original leaves them out
            continue
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
        told = _TASK.search(str(data.get("grammar", "")))
        if data.get("solvable") and told:
            seen = receptacles(str(data["pddl_problem"]))
            made[id] = _Found(told.group(1), _goal_of(id), seen, partial(official, path))
    if not made:
        raise UsageError(f"{folder} holds no games (game.tw-pddl) of ALFWorld; give the folder of a split")
    return made


def _goal_of(id: str) -> Goal | None:
    """The goal that a folder's name tells."""
    match = _FOLDER.match(id)
    if match is None or match["kind"] not in get_args(Kind):
        return None
    lamp = match["kind"] == "look_at_obj_in_light"
    target, used = ("", match["place"]) if lamp else (match["place"], "")
    about = {"kind": match["kind"], "thing": match["thing"], "target": target, "lamp": used}
    return Goal.model_validate({"id": id, "room": f"FloorPlan{match['room']}", "trials": 1, **about})
