"""Approval that is given elsewhere or later, and runs that go on with other settings."""

import asyncio

import pytest

from deepagent import Agent, Limits, UsageError, tool
from deepagent.errors import ModelReplyError, SandboxError
from deepagent.performer import Performer
from deepagent.runs.events import ApprovalAsked, ApprovalGiven, Folded, Observed
from deepagent.runs.store import RunStore
from tests.support import HASHED, WatchedModel, answer, assert_promises, call, execute

ASKS = HASHED.model_copy(update={"approval": "unsafe"})
made: list[str] = []


@tool(effect="unsafe")
def order(article: str) -> str:
    """Orders an article."""
    made.append(article)
    return f"ordered {article}"


@pytest.fixture(autouse=True)
def nothing_made():
    made.clear()


async def left_waiting(store: RunStore, script: list[str]) -> str:
    """A run whose process goes away while a call waits for approval."""
    asked = asyncio.Event()
    agent = Agent(WatchedModel(script), [order], config=ASKS, store=store)
    work = asyncio.create_task(agent.run("Do it.", hear=lambda item: item.kind == "approval_asked" and asked.set()))
    await asyncio.wait_for(asked.wait(), 60)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert made == []
    assert store.runs()[0].state == "waiting"
    return store.runs()[0].id


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("action", [call("order", article="lamp"), execute("print(order(article='lamp'))")])
async def test_a_run_that_waits_is_left_decided_elsewhere_and_goes_on(tmp_path, walls, approved, action):
    with RunStore(tmp_path / "r.sqlite") as store, RunStore(tmp_path / "r.sqlite") as page:
        run = await left_waiting(store, [action])
        (asked,) = page.decisions.waiting(run)
        assert (asked.tool, asked.arguments) == ("order", {"article": "lamp"})
        page.decisions.decide(run, asked.step, asked.call, approved=approved, by="page")
        done = await Agent(WatchedModel([answer("done")]), [order], config=ASKS, store=store).resume(run)
        events = [one.event for one in store.events(run)]
    assert done.answer == "done"
    assert made == (["lamp"] if approved else [])
    assert sum(isinstance(event, ApprovalAsked) for event in events) == 1
    (given,) = (event for event in events if isinstance(event, ApprovalGiven))
    assert (given.approved, given.by) == (approved, "page")
    assert_promises(events)


async def test_a_callback_decides_and_is_on_record(tmp_path):
    async def ask(spec, arguments):
        return arguments["article"] == "lamp"

    with RunStore(tmp_path / "r.sqlite") as store:
        script = [call("order", article="lamp"), call("order", article="chair"), answer("1")]
        run = await Agent(WatchedModel(script), [order], config=HASHED, store=store, approve=ask).run("Do it.")
        events = [one.event for one in store.events(run.id)]
    assert made == ["lamp"]
    assert [event.approved for event in events if isinstance(event, ApprovalGiven)] == [True, False]
    assert [event.observation.error for event in events if isinstance(event, Observed)] == [None, "tool_refused"]


async def test_a_run_that_met_its_limit_goes_on_with_a_larger_one(tmp_path):
    with RunStore(tmp_path / "r.sqlite") as store:
        few = HASHED.model_copy(update={"limits": Limits(actions=1)})
        first = await Agent(WatchedModel([call("order", article="a"), " "]), [order], config=few, store=store).run(
            "Do."
        )
        assert first.status == "limit"
        model = WatchedModel([call("order", article="b"), answer("2")])
        done = await Agent(model, [order], config=HASHED, store=store).resume(first.id)
        assert (done.status, done.answer, made) == ("answered", "2", ["a", "b"])
        assert "final answer now" not in model.prompts[0], "the demand at the limit is not part of the stream any more"
        with pytest.raises(UsageError, match="has its answer"):
            await Agent(model, [order], config=HASHED, store=store).resume(first.id)


class Other(WatchedModel):
    name = "other"


async def test_a_fork_goes_on_with_another_model_in_a_window_of_its_own(tmp_path):
    with RunStore(tmp_path / "r.sqlite") as store:
        script = [call("order", article="a"), call("order", article="b"), answer("1")]
        first = await Agent(WatchedModel(script), [order], config=HASHED, store=store).run("Do it.")
        copy = store.fork(first.id, 2)
        done = await Agent(Other([answer("2")]), [order], config=HASHED, store=store).resume(copy)
        events = [one.event for one in store.events(copy)]
        assert store.summary(copy).parent == first.id
    assert done.answer == "2"
    assert made == ["a", "b"], "what was done before the fork is not done again"
    (moved,) = (event for event in events if isinstance(event, Folded))
    assert moved.reason == "model"
    assert "ordered a" in str(moved.memory)


async def test_a_run_that_cannot_be_picked_up_stays_as_it_was(tmp_path, walls, monkeypatch):
    async def no_walls(*_):
        raise SandboxError("no walls here")

    script = [execute("print(6 * 7)"), answer("42")]
    with RunStore(tmp_path / "r.sqlite") as store:
        with pytest.raises(ModelReplyError):
            await Agent(WatchedModel(script[:1]), config=HASHED, store=store).run("Do it.")
        run = store.runs()[0]
        before = store.events(run.id)
        with monkeypatch.context() as patched:
            patched.setattr(Performer, "restore", no_walls)
            with pytest.raises(SandboxError):
                await Agent(WatchedModel([]), config=HASHED, store=store).resume(run.id)
        assert store.summary(run.id) == run, "its steps, tokens and seconds are those that were spent"
        assert store.events(run.id) == before
        done = await Agent(WatchedModel(script[1:]), config=HASHED, store=store).resume(run.id)
        assert done.answer == "42"
        assert_promises([one.event for one in store.events(run.id)])
