"""A model plays an API: the same call gets the same answer, earlier ones are shown, the log says what is made up."""

import json

import pytest

from deepagent.errors import ToolFailedError
from deepagent.models import ScriptedModel
from deepagent.runs.events import Observed, ToolReturned
from deepagent.tools import RUN, ToolSpec, violations
from deepagent.toolsets.base import Host, ToolList
from deepagent.toolsets.functions import tool
from deepagent.toolsets.resolve import open_toolset
from deepagent.toolsets.schemas import SchemaTools
from deepagent.toolsets.simulated import Simulated, SimulatedConfig
from tests.support import answer, call, execute, record

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
SPECS = [
    ToolSpec(name="weather", description="Weather of a city.", parameters=CITY, effect="pure"),
    ToolSpec(name="book", description="Books a trip.", parameters=CITY, effect="unsafe"),
]


def never(name, arguments):
    raise AssertionError("the real API is called")


class Player(ScriptedModel):
    """Answers in order, and remembers what it was asked."""

    def __init__(self, *replies: object) -> None:
        self.asked: list[str] = []
        left = [one if isinstance(one, str) else json.dumps(one) for one in replies]

        def reply(messages, schema):
            self.asked.append(messages[-1].content)
            return left.pop(0)

        super().__init__([], chat_replies=reply)


def ok(result):
    return {"status": "ok", "result": result}


def played(player: Player, **settings) -> Simulated:
    config = SimulatedConfig.model_validate({"source": "toolhop", **settings})
    return Simulated(SchemaTools("travel", SPECS, never), player, config)


async def ask(toolset: Simulated, name: str, city: str):
    return await next(tool for tool in toolset.tools if tool.name == name).invoke({"city": city})


async def test_the_same_call_is_answered_once():
    player = Player(ok({"rain": 3}), ok({"rain": 4}))
    async with played(player) as travel:
        assert [await ask(travel, "weather", "Lyon") for _ in range(3)] == [{"rain": 3}] * 3
        assert await ask(travel, "weather", "Nice") == {"rain": 4}
    assert len(player.asked) == 2


async def test_after_a_change_the_same_call_is_a_new_question_that_shows_what_was_said():
    player = Player(ok("free"), ok("booked"), ok("full"))
    async with played(player) as travel:
        assert [await ask(travel, name, "Lyon") for name in ("weather", "book", "weather")] == [
            "free",
            "booked",
            "full",
        ]
    assert "Earlier calls:\nnone" in player.asked[0]
    assert '["book", {"city": "Lyon"}] -> {"status":"ok","result":"booked"}' in player.asked[2]


async def test_each_run_is_a_world_of_its_own_and_equal_worlds_give_equal_answers():
    player = Player(ok("booked"), ok("full"))
    async with played(player) as travel:
        for run in ("one", "two"):
            RUN.set(run)
            assert [await ask(travel, name, "Lyon") for name in ("book", "weather")] == ["booked", "full"]
    assert len(player.asked) == 2


async def test_answers_on_disk_serve_other_processes_and_another_seed_is_another_world(tmp_path):
    async with played(Player(ok(1)), cache=tmp_path) as travel:
        assert await ask(travel, "weather", "Lyon") == 1
    async with played(Player(), cache=tmp_path) as travel:
        assert await ask(travel, "weather", "Lyon") == 1
    async with played(Player(ok(2)), cache=tmp_path, seed=1) as travel:
        assert await ask(travel, "weather", "Lyon") == 2


async def test_a_damaged_answer_on_disk_is_asked_for_again(tmp_path):
    async with played(Player(ok(1)), cache=tmp_path) as travel:
        await ask(travel, "weather", "Lyon")
    (path,) = tmp_path.rglob("*.json")
    path.write_text("{")
    async with played(Player(ok(2)), cache=tmp_path) as travel:
        assert await ask(travel, "weather", "Lyon") == 2


async def test_what_is_no_answer_is_asked_again_once_and_then_fails():
    async with played(Player("hm", ok(1))) as travel:
        assert await ask(travel, "weather", "Lyon") == 1
    async with played(Player("hm", {"status": "maybe"})) as travel:
        with pytest.raises(ToolFailedError, match=r"answered no such object \(status: Input should be"):
            await ask(travel, "weather", "Lyon")


async def test_an_error_of_the_played_api_is_an_error_of_the_tool():
    async with played(Player({"status": "error", "result": "no such city"})) as travel:
        with pytest.raises(ToolFailedError, match="weather failed: no such city"):
            await ask(travel, "weather", "Lyon")


async def test_the_question_fits_the_players_window():
    player = Player(*(ok("x" * 300) for _ in range(100)))
    async with played(player, max_tokens=512) as travel:
        for number in range(100):
            await ask(travel, "book", f"city {number}")
    assert max(len(one) for one in player.asked) < player.context * 3
    assert "city 98" in player.asked[-1]
    assert 'city 1"' not in player.asked[-1]


async def test_the_log_says_what_is_made_up(tmp_path):
    player = Player(ok("wet"), {"status": "error", "result": "closed"}, ok("dry"))
    script = [
        call("weather", city="Lyon"),
        call("book", city="Lyon"),
        execute("print(weather(city='Nice'))"),
        answer("wet"),
    ]
    recording = await record(script, tmp_path, tools=[played(player)])
    assert [event.observation.simulated for event in recording.of(Observed)][:2] == [True, True]
    assert recording.of(ToolReturned)[0].simulated


def test_any_source_can_be_played_by_name():
    toolset = open_toolset("simulated:toolhop", Host())
    assert (toolset.name, len(toolset.tools)) == ("toolhop", 235)
    assert all(tool.simulated for tool in toolset.tools)


# Results that have a schema


def forecast(city: str) -> dict[str, int]:
    """Weather of a city, in degrees by day."""
    raise AssertionError("the real API is called")


def shaped(player: Player) -> Simulated:
    return Simulated(ToolList("sky", [tool(forecast)]), player, SimulatedConfig(source="python:sky"))


async def test_a_result_that_breaks_its_schema_is_asked_for_again_with_the_reason():
    player = Player(ok({"monday": "warm"}), ok({"monday": 21}))
    async with shaped(player) as sky:
        assert await ask(sky, "forecast", "Lyon") == {"monday": 21}
    assert '"additionalProperties": {"type": "integer"}' in player.asked[0]
    assert "result: monday: 'warm' is not of type 'integer'" in player.asked[1]


async def test_a_model_that_never_keeps_to_the_schema_is_given_up():
    async with shaped(Player(ok([1]), ok("x"))) as sky:
        with pytest.raises(ToolFailedError, match=r"no such object .*'x' is not of type 'object'"):
            await ask(sky, "forecast", "Lyon")


async def test_an_error_need_not_fit_the_schema_of_results():
    async with shaped(Player({"status": "error", "result": "no such city"})) as sky:
        with pytest.raises(ToolFailedError, match="forecast failed: no such city"):
            await ask(sky, "forecast", "Atlantis")


def test_functions_openapi_and_nothing_say_what_they_return(tmp_path):
    assert tool(forecast).returns() == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert SchemaTools("travel", SPECS, never).tools[0].returns() is None
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "shop", "version": "1"},
        "servers": [{"url": "https://a.test"}],
        "paths": {
            "/o": {"get": {"operationId": "order", "responses": {"200": {"description": "", "content": answer}}}}
        },
        "components": {"schemas": {"Order": {"type": "object", "properties": {"id": {"type": "integer"}}}}},
    }
    (tmp_path / "shop.json").write_text(json.dumps(document))
    (order,) = open_toolset(f"openapi:{tmp_path / 'shop.json'}", Host()).tools
    found = order.returns()
    assert found is not None
    assert violations(found, {"id": 1}) == []
    assert violations(found, {"id": "x"}) == ["id: 'x' is not of type 'integer'"]
