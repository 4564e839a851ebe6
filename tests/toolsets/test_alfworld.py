"""ALFWorld: the goals, the rooms that are made for them, and games in the real engine."""

import asyncio
import json
import re

import pytest

pytest.importorskip("alfworld", reason="ALFWorld's engine is not installed; `make test-alfworld` installs it")

from deepagent.errors import ToolFailedError, UsageError
from deepagent.toolsets.alfworld.engine import Engine, Game, generated, official, receptacles
from deepagent.toolsets.alfworld.goals import Goal, goals
from deepagent.toolsets.alfworld.rooms import Entity, Room, escaped, make, problem, tables
from deepagent.toolsets.alfworld.toolset import ACTIONS, AlfWorld, reached, sub_goals

KNOWN = tables()
BY_KIND = {goal.kind: goal for goal in goals()}


def test_there_are_1788_goals_of_4839_trials_and_six_kinds():
    assert len(goals()) == len({goal.id for goal in goals()}) == 1788
    assert sum(goal.trials for goal in goals()) == 4839
    assert len(BY_KIND) == 6


def test_tasks_read_as_alfworlds_templates_do():
    from alfworld.gen.goal_library import gdict

    for goal in BY_KIND.values():
        templates = gdict[goal.kind]["templates"]
        words = {"obj": goal.thing.lower(), "recep": goal.target.lower(), "toggle": goal.lamp.lower()}
        assert goal.sentence == templates[0].format(**words)


@pytest.mark.parametrize("goal", goals()[::7], ids=lambda goal: goal.id)
def test_rooms_hold_what_the_goal_needs_where_it_can_be(goal):
    room = make(goal, 0, KNOWN)
    assert make(goal, 0, KNOWN) == room
    assert make(goal, 1, KNOWN) != room
    wanted = [one for one in room.objects if one.type == goal.thing]
    assert len(wanted) == (2 if goal.kind == "pick_two_obj_and_place" else 1)
    assert all(one.place.type != goal.target for one in wanted), "not there already"
    assert all(
        one.type in KNOWN.holds[one.place.type] for one in room.objects if one.type not in (goal.thing, goal.lamp)
    )
    assert {one.place.id for one in room.objects} <= {one.id for one in room.receptacles}
    assert len({one.id for one in (*room.objects, *room.receptacles)}) == len(room.objects) + len(room.receptacles)
    assert not goal.target or goal.target in {one.type for one in room.receptacles}
    assert len(room.plan) <= 50


# A kitchen so small that the engine loads it at once.

FRIDGE = Entity("Fridge|+01.00|+00.00|+00.00", "Fridge")
MICROWAVE = Entity("Microwave|+02.00|+00.00|+00.00", "Microwave")
TABLE = Entity("DiningTable|+03.00|+00.00|+00.00", "DiningTable")
SINK = Entity("Sink|+04.00|+00.00|+00.00|SinkBasin", "SinkBasin")
HEAT = Goal(
    id="small", kind="pick_heat_then_place_in_recep", thing="Apple", target="DiningTable", lamp="", room="x", trials=1
)


def small(goal=HEAT):
    apples = [Entity(f"Apple|+0{number}.50|+00.00|+00.00", "Apple", FRIDGE) for number in (1, 2)]
    lamp = Entity("DeskLamp|+09.00|+00.00|+00.00", "DeskLamp", TABLE)
    room = Room(goal, (FRIDGE, MICROWAVE, TABLE, SINK), (*apples, lamp), ())
    made = generated(BY_KIND[goal.kind], 0)
    grammar = made.grammar.replace(BY_KIND[goal.kind].sentence, goal.sentence)
    return made.model_copy(update={"grammar": grammar, "pddl_problem": problem(room, KNOWN), "walkthrough": ()})


@pytest.fixture
def engine():
    made = Engine(small())
    yield made
    made.close()


def test_the_receptacles_are_known_by_name_before_a_game_is_loaded(engine):
    assert receptacles(small().pddl_problem) == ["diningtable 1", "fridge 1", "microwave 1", "sinkbasin 1"]
    made = generated(BY_KIND["pick_cool_then_place_in_recep"], 0)
    playing = Engine(made)
    told = re.findall(r"\ba (\w+ \d+)", playing.intro)
    playing.close()
    assert receptacles(made.pddl_problem) == sorted(told, key=lambda name: (name.split()[0], int(name.split()[1])))


def play(engine, *commands):
    return [engine.step(command) for command in commands]


WAY = (
    "go to fridge 1", "open fridge 1", "take apple 1 from fridge 1", "go to microwave 1",
    "heat apple 1 with microwave 1", "go to diningtable 1", "move apple 1 to diningtable 1",
)  # fmt: skip


def test_a_game_is_won_by_its_goals_conditions_alone(engine):
    assert "a diningtable 1, a fridge 1, a microwave 1, and a sinkbasin 1" in engine.intro
    play(engine, *WAY[:4], "go to diningtable 1")
    assert "You move the apple 1" in engine.step("move apple 1 to diningtable 1")
    assert not engine.won, "the apple is cold"
    play(engine, "take apple 1 from diningtable 1", "go to microwave 1", "heat apple 1 with microwave 1")
    assert not engine.won
    play(engine, "go to diningtable 1", "move apple 1 to diningtable 1")
    assert engine.won


def test_what_cannot_be_done_changes_nothing(engine):
    before = engine.facts
    assert (
        play(engine, "take apple 1 from fridge 1", "fly away", "heat apple 1 with microwave 1")
        == ["Nothing happens."] * 3
    )
    assert engine.facts == before


def test_two_games_at_one_time_do_not_meet(engine):
    other = Engine(small())
    for command in WAY:
        engine.step(command)
        assert other.step("look").startswith("You are in the middle of a room")
    assert (engine.won, other.won) == (True, False)
    other.close()


@pytest.mark.parametrize(
    ("kind", "goal", "commands", "steps"),
    [
        (HEAT.kind, {}, WAY, ["held", "ishot", "one placed"]),
        ("pick_cool_then_place_in_recep", {},
         (*WAY[:3], "cool apple 1 with fridge 1", *WAY[5:]), ["held", "iscool", "one placed"]),
        ("pick_clean_then_place_in_recep", {},
         (*WAY[:3], "go to sinkbasin 1", "clean apple 1 with sinkbasin 1", *WAY[5:]),
         ["held", "isclean", "one placed"]),
        ("pick_and_place_simple", {}, (*WAY[:3], *WAY[5:]), ["held", "one placed"]),
        ("look_at_obj_in_light", {"target": "", "lamp": "DeskLamp"},
         (*WAY[:3], "go to diningtable 1", "use desklamp 1"), ["held", "lamp on"]),
        ("pick_two_obj_and_place", {},
         (*WAY[:3], *WAY[5:], "go to fridge 1", "take apple 2 from fridge 1", "go to diningtable 1",
          "move apple 2 to diningtable 1"), ["held", "one placed", "two placed"]),
    ],
)  # fmt: skip
def test_sub_goals_are_read_from_the_state_for_every_kind_of_goal(kind, goal, commands, steps):
    known = HEAT.model_copy(update={"kind": kind, **goal})
    assert list(sub_goals(known)) == steps
    playing = Engine(small(known))
    assert reached(known, playing.facts) == set()
    seen, order = set(), []
    for command in commands:
        assert "Nothing happens" not in playing.step(command)
        new = (reached(known, playing.facts) & set(steps)) - seen
        order += sorted(new)
        seen |= new
    assert order == steps
    assert playing.won
    playing.close()


# The tools.


async def use(world, name, **arguments):
    (made,) = (tool for tool in world.tools if tool.name == name)
    return await made.invoke(arguments)


async def test_tools_play_the_game_and_the_win_ends_it():
    world = AlfWorld(small, HEAT)
    async with world:
        await use(world, "go_to", receptacle="Fridge 1")
        await use(world, "open_receptacle", receptacle="fridge 1")
        assert world.sub_goals == 0
        assert await use(world, "take", thing="apple 1", receptacle="fridge 1")
        assert await use(world, "inventory") == "You are carrying: a apple 1."
        await use(world, "close_receptacle", receptacle="fridge 1")
        await use(world, "go_to", receptacle="microwave 1")
        await use(world, "heat", thing="apple 1", receptacle="microwave 1")
        assert await use(world, "examine", thing="apple 1") == "This is a hot apple 1."
        await use(world, "go_to", receptacle="diningtable 1")
        assert (world.done, world.sub_goals) == (False, 2 / 3)
        await use(world, "move", thing="apple 1", receptacle="diningtable 1")
        assert (world.done, world.won, world.sub_goals) == (True, True, 1)
        with pytest.raises(ToolFailedError, match="over"):
            await use(world, "look")


async def test_what_cannot_be_done_is_answered_with_what_can():
    async with AlfWorld(small, HEAT) as world:
        with pytest.raises(ToolFailedError, match="go to diningtable 1, go to fridge 1"):
            await use(world, "go_to", receptacle="cupboard 7")
        with pytest.raises(ToolFailedError, match="not take anything; go to a receptacle first"):
            await use(world, "take", thing="apple 1", receptacle="fridge 1")
        await use(world, "go_to", receptacle="fridge 1")
        with pytest.raises(ToolFailedError, match="not take anything; you can open fridge 1, or go elsewhere"):
            await use(world, "take", thing="apple 1", receptacle="fridge 1")
        await use(world, "open_receptacle", receptacle="fridge 1")
        await use(world, "take", thing="apple 1", receptacle="fridge 1")
        with pytest.raises(ToolFailedError, match=r"not take anything; you can .*move apple 1 to fridge 1"):
            await use(world, "take", thing="apple 2", receptacle="fridge 1")


async def test_calls_at_one_time_are_done_one_after_the_other():
    async with AlfWorld(small, HEAT) as world:
        seen = await asyncio.gather(*(use(world, "look") for _ in range(8)))
        assert len(set(seen)) == 1
        assert "a fridge 1" in seen[0]


def test_there_is_a_tool_for_each_command_of_the_engine():
    assert len(ACTIONS) == len({name for name, _, _ in ACTIONS}) == 12


def test_the_originals_files_are_read_and_others_are_told(tmp_path):
    made = small()
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps(made.model_dump() | {"solvable": True, "walkthrough": list(WAY)}))
    assert official(path) == made.model_copy(update={"walkthrough": WAY})
    path.write_text("{}")
    with pytest.raises(UsageError, match="no game of ALFWorld"):
        official(path)


def test_ids_are_spelled_as_pddl_can():
    assert escaped("Sink|-00.70|+00.93|-00.65|SinkBasin") == (
        "Sink_bar__minus_00_dot_70_bar__plus_00_dot_93_bar__minus_00_dot_65_bar_SinkBasin"
    )


def test_a_whole_room_is_solved_by_its_plan():
    goal = next(goal for goal in goals() if goal.kind == "look_at_obj_in_light")
    game = generated(goal, 0)
    assert isinstance(game, Game)
    playing = Engine(game)
    assert not playing.won
    play(playing, *game.walkthrough)
    assert playing.won
    playing.close()
