"""How many requests a server is sent at a time."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepagent.errors import ModelTimeoutError
from deepagent.models.gate import Gate
from deepagent.models.http import HttpModel
from tests.models.fake_server import FakeServer


async def test_all_are_admitted_until_the_server_is_too_busy_then_half():
    gate = Gate()
    tickets = [await gate.enter() for _ in range(8)]
    gate.overloaded(tickets[3])
    assert gate.limit == 4
    gate.overloaded(tickets[7])
    assert gate.limit == 4, "what was sent before the decrease says nothing new"
    for _ in range(5):
        gate.leave()
    gate.overloaded(await gate.enter())
    assert gate.limit == 2


async def test_as_many_answers_as_are_in_flight_admit_one_more():
    gate = Gate()
    gate.limit = 4.0
    for _ in range(4):
        gate.served()
    assert 4.9 < gate.limit < 5


async def test_who_waits_is_admitted_in_order_and_who_gives_up_takes_no_place():
    gate, order = Gate(), []
    gate.limit = 1.0
    await gate.enter()

    async def request(name):
        await gate.enter()
        order.append(name)

    waiting = [asyncio.create_task(request(name)) for name in "abc"]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    gate.leave()
    await waiting[0]
    gate.leave()
    await waiting[2]
    assert (order, gate.inside) == (["a", "c"], 1)


async def test_who_gives_up_just_when_admitted_gives_the_place_on():
    gate = Gate()
    gate.limit = 1.0
    await gate.enter()
    first, second = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    gate.leave()  # admits the first one, which does not know yet
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.wait_for(second, 1)
    assert gate.inside == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["enter", "leave", "served", "overloaded"]), max_size=60))
def test_the_limit_is_never_broken_by_new_requests(steps):
    async def play():
        gate, tickets, waiting = Gate(), [], []
        for step in steps:
            before = gate.inside
            if step == "enter":
                task = asyncio.create_task(gate.enter())
                waiting.append(task)
            elif step == "leave" and gate.inside:
                gate.leave()
            elif step == "served":
                gate.served()
            elif step == "overloaded" and tickets:
                gate.overloaded(tickets[-1])
            await asyncio.sleep(0)
            tickets = [task.result() for task in waiting if task.done()]
            assert gate.limit >= 1
            assert gate.inside <= max(before, gate.limit + 1)
            assert gate.inside >= 0
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(play())


class Busy(FakeServer):
    """Refuses what is more than it can serve at a time."""

    def __init__(self, most, status=429):
        super().__init__("llama", "ok")
        self.most, self.status = most, status
        self.at_once = self.refused = 0

    async def generate(self, exchange, done=True):
        if self.at_once >= self.most:
            self.refused += 1
            await exchange.answer(self.status, {"error": {"message": "busy"}}, retry_after="0.02")
            return
        self.at_once += 1
        await asyncio.sleep(0.01)
        self.at_once -= 1
        await super().generate(exchange, done)


async def ask(model):
    from deepagent.models.base import Sampling
    from deepagent.transcript import Message

    return await model.chat([Message(role="user", content="?")], Sampling(max_tokens=8))


@pytest.mark.parametrize("status", [429, 503])
async def test_an_overloaded_server_is_sent_less_and_all_is_answered(status):
    async with Busy(4, status) as server, HttpModel(server.url, retries=8) as model:
        done = await asyncio.gather(*(ask(model) for _ in range(200)))
        limit = model.transport.gate.limit
    assert len(done) == 200
    assert limit < 40, "it was sent 200 at once first"
    assert server.refused < 400


async def test_waiting_for_admission_is_no_timeout_of_the_server():
    async with FakeServer("llama", "ok") as server, HttpModel(server.url, retries=0) as model:
        gate = model.transport.gate
        gate.limit = 1.0
        await gate.enter()
        model.transport._timeout = 2.0
        asked = asyncio.create_task(ask(model))
        await asyncio.wait([asked], timeout=2.5)
        gate.leave()
        assert (await asked).finish == "stop"


async def test_a_server_that_is_too_slow_is_sent_less():
    async def silent(exchange):
        await exchange.gone()

    async with FakeServer("llama", "ok", faults=[silent] * 4) as server, HttpModel(server.url, retries=0) as model:
        model.transport._timeout = 0.2
        done = await asyncio.gather(*(ask(model) for _ in range(4)), return_exceptions=True)
    assert [type(error) for error in done] == [ModelTimeoutError] * 4
    assert model.transport.gate.limit <= 2
