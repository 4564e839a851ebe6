"""What is particular to one run: tools of its own, a part of the agent's tools, a seed, a world that ends it."""

import asyncio

from deepagent import Agent, RunStore, ScriptedModel
from deepagent.agent import Circumstances
from deepagent.runs.events import Observed, Started
from deepagent.toolsets.functions import tool
from tests.support import HASHED, answer, call, execute


class Door:
    """A world of one run: it is over when the door is open."""

    name = "door"

    def __init__(self):
        self.done = False

        @tool
        def push() -> str:
            """Pushes the door."""
            self.done = True
            return "The door opens."

        self.tools = (push,)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None


@tool
def look() -> str:
    """Looks around."""
    return "A door."


@tool
def sing() -> str:
    """Sings."""
    return "La."


async def run_both(tmp_path, script, circumstances):
    model = ScriptedModel(script)
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(model, [look, sing], config=HASHED, store=store) as agent:
            run = await agent.run("Open it.", circumstances=circumstances)
        return run, [one.event for one in store.events(run.id)], model


def seen(events):
    return [event.observation for event in events if isinstance(event, Observed)]


async def test_a_run_can_have_tools_of_its_own_and_ends_when_its_world_is_done(tmp_path):
    run, events, model = await run_both(
        tmp_path, [call("look"), call("push"), answer("x")], Circumstances(tools=Door())
    )
    assert (run.status, run.answer, run.steps) == ("answered", "The door opens.", 2)
    assert [one.text for one in seen(events)] == ["A door.", "The door opens."]
    assert "push()" in model.prompts[0]


async def test_code_ends_it_too(walls, tmp_path):
    run, _, _ = await run_both(tmp_path, [execute("print(push())")], Circumstances(tools=Door()))
    assert (run.status, run.answer) == ("answered", "The door opens.")


async def test_a_run_can_be_confined_to_some_of_the_tools(tmp_path):
    _, events, model = await run_both(tmp_path, [call("sing"), answer("x")], Circumstances(only=["look"]))
    assert seen(events)[0].error == "unknown_tool"
    assert "look()" in model.prompts[0]
    assert "sing()" not in model.prompts[0]


async def test_a_seed_of_its_own_is_on_record(tmp_path):
    _, events, _ = await run_both(tmp_path, [answer("x")], Circumstances(seed=7))
    (started,) = (event for event in events if isinstance(event, Started))
    assert started.settings["sampling"]["seed"] == 7


async def test_runs_side_by_side_do_not_see_the_tools_of_each_other(tmp_path):
    model = ScriptedModel(lambda window: call("push") if "push()" in window.text else answer("none"))
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(model, [look], config=HASHED, store=store) as agent:
            runs = await asyncio.gather(agent.run("One.", circumstances=Circumstances(tools=Door())), agent.run("Two."))
    assert [run.answer for run in runs] == ["The door opens.", "none"]
