"""Typed functions become tools; what they raise, return or refuse is no danger to the loop."""

import asyncio
import threading
from contextvars import ContextVar
from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from deepagent.errors import InvalidArgumentsError, ToolDefinitionError
from deepagent.toolsets.functions import tool

USER: ContextVar[str] = ContextVar("user", default="nobody")


@tool
def orders(customer: int, since: date | None = None, sort: Literal["price", "date"] = "date") -> list[str]:
    """Orders of one customer.

    Newest first.

    Args:
        customer: the customer's id,
            as a number.
        since: only later ones.

    Returns:
        Order numbers.
    """
    return [f"{customer}/{since!r}/{sort}"]


def test_types_become_the_schema_and_the_docstring_the_description():
    spec = orders.spec
    assert spec.name == "orders"
    assert spec.description == "Orders of one customer.\n\nNewest first."
    assert spec.parameters["required"] == ["customer"]
    assert spec.parameters["properties"]["customer"] == {
        "type": "integer",
        "description": "the customer's id, as a number.",
    }
    assert spec.parameters["properties"]["sort"]["enum"] == ["price", "date"]


async def test_arguments_arrive_as_their_annotated_types():
    assert await orders.invoke({"customer": 7, "since": "2024-02-01"}) == ["7/datetime.date(2024, 2, 1)/date"]


async def test_arguments_of_the_wrong_type_are_told_in_words():
    with pytest.raises(InvalidArgumentsError, match="since: Input should be a valid date"):
        await orders.invoke({"customer": 7, "since": "soon"})


async def test_async_functions_and_models_work():
    class Box(BaseModel):
        width: Annotated[float, Field(gt=0)]

    @tool(name="area", effect="pure")
    async def area_of(box: Box) -> float:
        """Area."""
        return box.width**2

    assert area_of.spec.name == "area"
    assert area_of.spec.effect == "pure"
    assert await area_of.invoke({"box": {"width": 3}}) == 9


async def test_a_blocking_function_does_not_block_the_loop():
    release = threading.Event()

    @tool
    def waits() -> str:
        release.wait(10)
        return "done"

    pending = asyncio.create_task(waits.invoke({}))
    await asyncio.sleep(0)
    release.set()
    assert await pending == "done"


async def test_a_hanging_function_can_be_given_up():
    never = threading.Event()

    @tool
    def hangs() -> None:
        never.wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hangs.invoke({}), 0.05)
    never.set()


async def test_a_blocking_function_sees_the_context_of_its_caller():
    @tool
    def who() -> str:
        return USER.get()

    USER.set("Ada")
    assert await who.invoke({}) == "Ada"


def test_a_function_may_end_after_the_loop(monkeypatch: pytest.MonkeyPatch):
    release = threading.Event()
    ended: list[threading.Thread] = []

    @tool
    def late() -> None:
        ended.append(threading.current_thread())
        release.wait(10)

    async def give_up() -> asyncio.AbstractEventLoop:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late.invoke({}), 0.05)
        return asyncio.get_running_loop()

    loop = asyncio.run(give_up())
    monkeypatch.setattr(loop, "is_closed", lambda: False)  # as if it closes right after someone has asked
    release.set()
    ended[0].join(10)  # what a thread raises fails the test


async def test_what_a_function_raises_reaches_the_caller_even_exit():
    @tool
    def leaves() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        await leaves.invoke({})


def test_parameters_without_names_are_refused():
    def variadic(*values: int) -> None: ...

    with pytest.raises(ToolDefinitionError, match="'values' cannot be passed by name"):
        tool(variadic)


def test_types_without_a_schema_are_refused():
    def strange(lock: threading.Event) -> None: ...

    with pytest.raises(ToolDefinitionError, match="strange"):
        tool(strange)
