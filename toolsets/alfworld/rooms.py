"""Rooms for a goal, made offline: the original's initial states are not to be had.

A room has the receptacles of its floor plan and the objects that ALFRED knows there, put at random, by a seed, where
ALFWorld's own tables say that they can be. A plan that solves the goal is made with it: whoever puts things somewhere
knows where to find them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources

from deepagent.errors import UsageError
from deepagent.toolsets.alfworld.goals import Goal

_MOST_OF_A_KIND = 3
_STOVE_BURNERS = 2
_BASINS = {"Sink": "SinkBasin", "Bathtub": "BathtubBasin"}
_TOOLS = {
    "pick_clean_then_place_in_recep": ("SinkBasin", "clean"),
    "pick_heat_then_place_in_recep": ("Microwave", "heat"),
    "pick_cool_then_place_in_recep": ("Fridge", "cool"),
}
_ESCAPES = {"|": "_bar_", "+": "_plus_", "-": "_minus_", ".": "_dot_", ",": "_comma_"}


@dataclass(frozen=True)
class Entity:
    """A receptacle or an object.

    Attributes:
        id: unique in the room, in ALFWorld's form.
        place: of an object, the receptacle that it is in.
    """

    id: str
    type: str
    place: Entity | None = None


@dataclass(frozen=True)
class Command:
    """A step of a plan; what it is about is named only when the game is loaded."""

    verb: str
    about: tuple[Entity, ...]


@dataclass(frozen=True)
class Room:
    """A room, and how its goal is reached."""

    goal: Goal
    receptacles: tuple[Entity, ...]
    objects: tuple[Entity, ...]
    plan: tuple[Command, ...]


@dataclass
class Tables:
    """ALFWorld's tables of what there is and what can be done with it."""

    holds: dict[str, set[str]] = field(default_factory=dict)
    can: dict[str, set[str]] = field(default_factory=dict)
    openable: set[str] = field(default_factory=set)
    movable: set[str] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)

    def receptacles(self) -> set[str]:
        """Types that stay where they are and hold things."""
        return set(self.holds) - self.movable


def tables() -> Tables:
    """The tables of the installed package.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from alfworld.gen import constants
    except ImportError as error:
        raise UsageError("ALFWorld's games need its engine; pip install 'deepagent[alfworld]'") from error
    return Tables(
        holds=constants.VAL_RECEPTACLE_OBJECTS,
        can=constants.VAL_ACTION_OBJECTS,
        openable=set(constants.OPENABLE_CLASS_LIST) - set(constants.MOVABLE_RECEPTACLES),
        movable=set(constants.MOVABLE_RECEPTACLES),
        objects=set(constants.OBJECTS_SET),
    )


def make(goal: Goal, trial: int, known: Tables) -> Room:
    """The room of a trial of a goal, the same every time."""
    return _Maker(goal, random.Random(f"{goal.id} {trial}"), known).room()  # noqa: S311 # nothing secret


class _Maker:
    def __init__(self, goal: Goal, luck: random.Random, known: Tables) -> None:
        self._goal = goal
        self._luck = luck
        self._known = known
        self._made = 0

    def room(self) -> Room:
        goal = self._goal
        receptacles = self._receptacles()
        wanted = [self._put(goal.thing, receptacles, away_from=goal.target) for _ in range(self._count())]
        lamps = [self._put(goal.lamp, receptacles)] if goal.lamp else []
        rest = [self._put(kind, receptacles) for kind in self._others(receptacles)]
        plan = tuple(self._plan(wanted, lamps, receptacles))
        return Room(goal, tuple(receptacles), (*wanted, *lamps, *rest), plan)

    def _count(self) -> int:
        return 2 if self._goal.kind == "pick_two_obj_and_place" else 1

    def _receptacles(self) -> list[Entity]:
        """Those of the floor plan, and those that it has no place for but the goal needs."""
        fixed = self._known.receptacles()
        found = [Entity(id, kind) for id in _layout(self._goal.room, "openable") if (kind := _type_of(id)) in fixed]
        needed = [kind for kind in (self._goal.target, _TOOLS.get(self._goal.kind, ("",))[0]) if kind]
        listed = [_BASINS.get(kind, kind) for kind in _layout(self._goal.room, "objects")]
        have = {one.type for one in found}
        for kind in dict.fromkeys([*needed, *(kind for kind in listed if kind in fixed)]):
            if kind not in have:
                count = _STOVE_BURNERS if kind == "StoveBurner" else 1
                found += [self._entity(kind) for _ in range(count)]
        return found

    def _others(self, receptacles: Sequence[Entity]) -> Iterator[str]:
        """Types of what else lies about: one to three of each that the floor plan knows and has a place for."""
        places = {kind for one in receptacles for kind in self._known.holds[one.type]}
        own = (self._goal.thing, self._goal.lamp)
        for kind in _layout(self._goal.room, "objects"):
            if kind in self._known.objects and kind in places and kind not in own:
                yield from [kind] * self._luck.randint(1, _MOST_OF_A_KIND)

    def _put(self, kind: str, receptacles: Sequence[Entity], away_from: str = "") -> Entity:
        """An object in a random receptacle that can hold it."""
        fits = [one for one in receptacles if kind in self._known.holds[one.type] and one.type != away_from]
        if not fits:  # lamps, for which the tables name no place, and what this floor plan has no place for
            fits = [one for one in receptacles if one.type != away_from and one.type not in self._known.openable]
        return self._entity(kind, self._luck.choice(fits))

    def _entity(self, kind: str, place: Entity | None = None) -> Entity:
        self._made += 1
        basin = next((outer for outer, inner in _BASINS.items() if inner == kind), None)
        where = f"+99.{self._made:02}|+00.00|+00.00"
        return Entity(f"{basin}|{where}|{kind}" if basin else f"{kind}|{where}", kind, place)

    def _plan(
        self, wanted: Sequence[Entity], lamps: Sequence[Entity], receptacles: Sequence[Entity]
    ) -> Iterator[Command]:
        goal, opened, here = self._goal, set[str](), ""

        def reach(place: Entity, *, inside: bool = True) -> Iterator[Command]:
            nonlocal here
            if place.id != here:  # one cannot go to where one is
                here = place.id
                yield Command("go to {}", (place,))
            if inside and place.type in self._known.openable and place.id not in opened:
                opened.add(place.id)
                yield Command("open {}", (place,))

        target = next((one for one in receptacles if one.type == goal.target), None)
        for thing in wanted:
            assert thing.place is not None
            yield from reach(thing.place)
            yield Command("take {} from {}", (thing, thing.place))
            if goal.kind in _TOOLS:
                kind, verb = _TOOLS[goal.kind]
                tool = next(one for one in receptacles if one.type == kind)
                yield from reach(tool, inside=False)
                yield Command(f"{verb} {{}} with {{}}", (thing, tool))
            if target is not None:
                yield from reach(target)
                yield Command("move {} to {}", (thing, target))
        for lamp in lamps:
            assert lamp.place is not None
            yield from reach(lamp.place, inside=False)
            yield Command("use {}", (lamp,))


def escaped(id: str) -> str:
    """An id as PDDL can spell it."""
    for sign, word in _ESCAPES.items():
        id = id.replace(sign, word)
    return id


def problem(room: Room, known: Tables) -> str:
    """The room and its goal as a PDDL problem."""
    from alfworld.gen.goal_library import gdict

    goal, rooms = room.goal, range(len(room.receptacles) + 1)
    places = {one.id: f"loc_bar_{number}" for number, one in enumerate(room.receptacles, 1)}
    kinds = sorted({one.type for one in room.receptacles}), sorted({one.type for one in room.objects} | {goal.thing})
    rtypes, otypes = ([f"{kind}Type" for kind in some] for some in kinds)
    named = [
        ("agent1", "agent"),
        *((f"loc_bar_{number}", "location") for number in rooms),
        *((kind, "rtype") for kind in rtypes),
        *((kind, "otype") for kind in otypes),
        *((escaped(one.id), "receptacle") for one in room.receptacles),
        *((escaped(one.id), "object") for one in room.objects),
    ]
    facts = ["(= (total-cost) 0)", "(atLocation agent1 loc_bar_0)", *_facts(room, known, places)]
    facts += [
        f"(canContain {kind}Type {inner}Type)"
        for kind in kinds[0]
        for inner in sorted(known.holds[kind])
        if f"{inner}Type" in otypes
    ]
    objects = "\n".join(f"    {name} - {kind}" for name, kind in named)
    wish = gdict[goal.kind]["pddl"].replace("#", "-").format(obj=goal.thing, recep=goal.target, toggle=goal.lamp)
    return "\n".join(
        [
            "(define (problem game)",
            "(:domain alfred)",
            f"(:objects\n{objects}\n)",
            "(:init",
            *(f"    {fact}" for fact in facts),
            ")",
            wish,
        ]
    )


def _facts(room: Room, known: Tables, places: dict[str, str]) -> Iterator[str]:
    for one in room.receptacles:
        id = escaped(one.id)
        yield f"(receptacleType {id} {one.type}Type)"
        yield f"(receptacleAtLocation {id} {places[one.id]})"
        if one.type in known.openable:
            yield f"(openable {id})"
    abilities = {"Cleanable": "cleanable", "Heatable": "heatable", "Coolable": "coolable", "Sliceable": "sliceable"}
    for one in room.objects:
        assert one.place is not None
        id, place = escaped(one.id), one.place
        yield f"(objectType {id} {one.type}Type)"
        yield f"(inReceptacle {id} {escaped(place.id)})"
        yield f"(wasInReceptacle {id} {escaped(place.id)})"
        yield f"(objectAtLocation {id} {places[place.id]})"
        if one.type in known.can["Toggleable"]:
            yield f"(toggleable {id})"
        else:
            yield f"(pickupable {id})"
        yield from (f"({word} {id})" for ability, word in abilities.items() if one.type in known.can[ability])


def _layout(room: str, which: str) -> list[str]:
    """What the package knows of a floor plan: ids of receptacles (`openable`), types of objects (`objects`)."""
    path = resources.files("alfworld").joinpath("gen", "layouts", f"{room}-{which}.json")
    return sorted(json.loads(path.read_text(encoding="utf-8")))


def _type_of(id: str) -> str:
    parts = id.split("|")
    return parts[4] if len(parts) > 4 else parts[0]
