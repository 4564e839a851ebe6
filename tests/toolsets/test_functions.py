"""Typed functions become tools; what they raise, return or refuse is no danger to the loop."""

import asyncio
import functools
import threading
from contextvars import ContextVar
from datetime import date
from types import ModuleType
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from deepagent.errors import InvalidArgumentsError, ToolDefinitionError
from deepagent.toolsets.functions import tool, tools_of

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


class Shop:
    """A shop."""

    def __init__(self) -> None:
        self.sold = 0

    def sell(self, count: int) -> int:
        """Sells."""
        self.sold += count
        return self.sold

    async def sell_later(self, count: int) -> int:
        """Sells later."""
        return self.sold + count

    @staticmethod
    def hours(day: str) -> str:
        """Opening hours."""
        return f"{day}: 9-17"

    def _secret(self) -> None: ...


async def test_the_public_methods_of_an_object_are_tools_that_share_its_state():
    tools = {tool.name: tool for tool in tools_of(Shop())}
    assert set(tools) == {"sell", "sell_later", "hours"}
    assert tools["sell"].spec.toolset == "Shop"
    assert "self" not in tools["sell"].spec.properties
    assert [await tools["sell"].invoke({"count": 2}) for _ in range(2)] == [2, 4]
    assert await tools["sell_later"].invoke({"count": 1}) == 5


def test_of_a_class_only_what_needs_no_object_is_a_tool():
    assert [tool.name for tool in tools_of(Shop)] == ["hours"]


def test_of_a_module_only_its_own_functions_are_tools():
    module = ModuleType("mine")
    exec("from json import loads\ndef one(a: int) -> int: return a", module.__dict__)
    assert [tool.name for tool in tools_of(module)] == ["one"]


def test_what_has_no_methods_is_refused():
    with pytest.raises(ToolDefinitionError, match="object has no public methods"):
        tools_of(object())


async def test_partials_and_objects_that_are_called_are_tools():
    class Adder:
        def __call__(self, a: int) -> int:
            """Adds one."""
            return a + 1

    def power(base: int, exponent: int) -> int:
        """Raises."""
        return base**exponent

    added, squared = tool(Adder()), tool(functools.partial(power, exponent=2))
    assert (added.name, added.spec.description) == ("Adder", "Adds one.")
    assert await added.invoke({"a": 1}) == 2
    assert squared.spec.required == ["base"]
    assert await squared.invoke({"base": 3}) == 9
