"""ALFRED's training goals: what is to be done, and in which room."""

from __future__ import annotations

import gzip
from functools import cache
from importlib import resources
from typing import Literal

from deepagent.actions import Frozen

Kind = Literal[
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
]


class Goal(Frozen):
    """A goal.

    Attributes:
        id: as ALFRED names it, such as `pick_heat_then_place_in_recep-Apple-None-SideTable-28`.
        thing: type of the object that is to be moved or looked at.
        target: type of the receptacle that it is to end in; empty for `look_at_obj_in_light`.
        lamp: type of the lamp that is to be used; empty for all others.
        room: floor plan, such as `FloorPlan28`.
        trials: how many rooms ALFRED has made for it.
    """

    id: str
    kind: Kind
    thing: str
    target: str
    lamp: str
    room: str
    trials: int

    @property
    def sentence(self) -> str:
        """The task in words: the first of ALFWorld's own templates."""
        thing, target, lamp = self.thing.lower(), self.target.lower(), self.lamp.lower()
        return {
            "pick_and_place_simple": f"put a {thing} in {target}",
            "look_at_obj_in_light": f"look at {thing} under the {lamp}",
            "pick_clean_then_place_in_recep": f"put a clean {thing} in {target}",
            "pick_heat_then_place_in_recep": f"put a hot {thing} in {target}",
            "pick_cool_then_place_in_recep": f"put a cool {thing} in {target}",
            "pick_two_obj_and_place": f"put two {thing} in {target}",
        }[self.kind]


@cache
def goals() -> tuple[Goal, ...]:
    """The 1,788 goals, of 4,839 trials together, in ALFRED's order."""
    data = resources.files("deepagent.toolsets.alfworld").joinpath("goals.jsonl.gz").read_bytes()
    return tuple(Goal.model_validate_json(line) for line in gzip.decompress(data).splitlines())
