"""Each role has a model of its own, or one that stands in."""

import asyncio

import pytest

from deepagent import Agent
from deepagent.errors import UsageError
from deepagent.models import ScriptedModel
from deepagent.models.roles import Models
from tests.models.fake_server import FakeServer
from tests.support import HASHED, answer


class Counted(ScriptedModel):
    opened = 0
    closed = 0

    async def __aenter__(self):
        self.opened += 1
        return self

    async def __aexit__(self, *_):
        self.closed += 1


async def test_roles_without_a_model_are_stood_in_for():
    main, auxiliary = Counted(), Counted(context=2048)
    async with Models({"main": main}) as models:
        assert await models.get("auxiliary") is main
        assert await models.get("judge") is main
    async with Models({"main": main, "auxiliary": auxiliary, "judge": None}) as models:
        assert await models.get("judge") is auxiliary
        assert (await models.get("main")).context == 4096
        assert (await models.get("auxiliary")).context == 2048, "each has its own window"


async def test_nobody_sees_for_a_model_that_cannot():
    async with Models({"main": Counted()}) as models:
        with pytest.raises(UsageError, match="set vision in the config"):
            await models.get("vision")


async def test_a_model_is_opened_when_it_is_needed_once_and_closed_with_the_others():
    main, judge = Counted(), Counted()
    async with Models({"main": main, "auxiliary": main, "judge": judge}) as models:
        assert main.opened == judge.opened == 0
        await asyncio.gather(*(models.get(role) for role in ("main", "auxiliary", "main")))
    assert (main.opened, main.closed) == (1, 1)
    assert (judge.opened, judge.closed) == (0, 0)


async def test_roles_that_name_one_server_share_its_connection():
    async with FakeServer("vllm") as server, Models({"main": server.url, "judge": server.url}) as models:
        assert await models.get("main") is await models.get("judge")
        assert sum(one.path == "/v1/models" for one in server.seen) == 1


async def test_an_agent_gives_its_models_to_tools_and_scorers(tmp_path):
    judge = Counted()
    async with Agent(Counted([answer("7")]), config=HASHED, judge=judge, store=tmp_path / "runs.sqlite") as agent:
        assert await agent.model("judge") is judge
        assert (await agent.run("What is 3 + 4?")).answer == "7"
    with pytest.raises(UsageError, match="async with"):
        await agent.model("judge")
