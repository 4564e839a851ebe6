"""Questions about a shop that only its tools can answer: one to three calls, each needing what the one before brought.

Every task has a shop of its own, so nothing can be learnt by heart but how to ask.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from pydantic import Field

from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.tools import Arguments, Tool, ToolSpec
from deepagent.training.families.generated import GeneratedConfig, draw, kept, way

_ITEMS = """
    tea jam salt rice oil honey bread milk cocoa beans flour pepper sugar corn nuts figs dates mint sage thyme basil
    curry yeast oats rye plums pears kale leeks beets
"""
_SUPPLIERS = """
    Almo Berit Casta Dorn Elva Fenix Gando Hilde Ivory Jonas Kirsa Lumen Mavis Norda Orson Pavel Quill Rosa Stern Tovar
"""
ITEMS, SUPPLIERS = tuple(_ITEMS.split()), tuple(_SUPPLIERS.split())
ITEM_TOOLS = ("price", "stock", "supplier")
COUNTRIES = ("Chile", "Egypt", "Ghana", "India", "Japan", "Kenya", "Nepal", "Peru", "Spain", "Turkey")

Question = tuple[str, int, Callable[[str, "dict[str, Any]"], list[Call]]]


def _item(name: str) -> Callable[[str, dict[str, Any]], list[Call]]:
    return lambda item, shop: [Call(name=name, arguments={"item": item})]


def _supplier(name: str) -> Callable[[str, dict[str, Any]], list[Call]]:
    def calls(item: str, shop: dict[str, Any]) -> list[Call]:
        return [*_item("supplier")(item, shop), Call(name=name, arguments={"supplier": shop["supplier"][item]})]

    return calls


def _phone_code(item: str, shop: dict[str, Any]) -> list[Call]:
    country = shop["country"][shop["supplier"][item]]
    return [*_supplier("country")(item, shop), Call(name="code", arguments={"country": country})]


QUESTIONS: tuple[Question, ...] = (
    ('What is the price of "{item}"?', 1, _item("price")),
    ('How many "{item}" are in stock?', 1, _item("stock")),
    ('Who supplies "{item}"?', 1, _item("supplier")),
    ('In which country is the supplier of "{item}"?', 2, _supplier("country")),
    ('How many days does the supplier of "{item}" need?', 2, _supplier("days")),
    ('What is the dialling code of the supplier of "{item}"?', 3, _phone_code),
)
"""Words, number of calls, and the calls that answer; the last call's result is the answer."""


class LookupConfig(GeneratedConfig):
    """Which tasks are made, and how they are demonstrated."""

    careless: float = Field(0, ge=0, le=1)
    """Share of demonstrations that show bad habits, for ToolPO to mend. Three in four of these leave out the last call,
    or ask the wrong tool where one call would do, and answer with what that brought; the fourth asks for something
    else first.
    """


class Lookup(Benchmark[LookupConfig]):
    """The family."""

    name = "lookup"
    about = "questions about a shop that only its tools can answer; made for training"
    modes = ("labelled",)
    metrics = (Metric(name="success", meaning="the answer is right", binary=True),)
    Config = LookupConfig

    def tasks(self) -> Sequence[BenchmarkTask]:
        """As many as the settings say, in an order that the seed decides."""
        return draw(self.name, self.config, QUESTIONS, ITEMS, lambda question: question[1], _task)

    def world(self, task: BenchmarkTask) -> Shop:
        """The task's own shop."""
        return Shop(task.data["shop"])

    def oracle(self, task: BenchmarkTask) -> Sequence[Action]:
        """The calls that answer, and the answer."""
        return [*way(task), Answer(text=task.gold)]

    def demonstration(self, task: BenchmarkTask) -> Sequence[Action]:
        """What the oracle does, or what one does who is careless."""
        chance = random.Random(task.id)  # noqa: S311 (tasks, not secrets)
        if chance.random() >= self.config.careless:
            return self.oracle(task)
        calls = way(task)
        [(_, item)] = calls[0].arguments.items()
        beside = chance.choice([name for name in ITEM_TOOLS if name != calls[0].name])
        other = Call(name=beside, arguments={"item": item})
        if chance.random() < 0.25:
            return [other, *self.oracle(task)]
        made = calls[:-1] or [other]
        return [*made, Answer(text=str(_told(task.data["shop"], made[-1])))]

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Right when it says what the last call brings, and nothing else."""
        right = (episode.answer or "").strip().strip(".").casefold() == episode.task.gold.casefold()
        return Score(values={"success": Value.same(right)})


def make_shop(chance: random.Random) -> dict[str, Any]:
    """Everything that the tools can tell, drawn anew."""
    return {
        "price": {item: chance.randint(10, 99) for item in ITEMS},
        "stock": {item: chance.randint(100, 999) for item in ITEMS},
        "supplier": {item: chance.choice(SUPPLIERS) for item in ITEMS},
        "country": {supplier: chance.choice(COUNTRIES) for supplier in SUPPLIERS},
        "days": {supplier: chance.randint(2, 60) for supplier in SUPPLIERS},
        "code": {country: chance.randint(20, 99) for country in COUNTRIES},
    }


def _told(shop: dict[str, Any], call: Call) -> Any:
    """What a call brings."""
    [of] = call.arguments.values()
    return shop[call.name][of]


def _task(id: str, question: Question, item: str, chance: random.Random) -> BenchmarkTask:
    words, hops, calls = question
    shop = make_shop(chance)
    made = calls(item, shop)
    gold = str(_told(shop, made[-1]))
    return BenchmarkTask(
        id=id,
        prompt=words.format(item=item),
        gold=gold,
        tags={"hops": str(hops)},
        data={"shop": shop, **kept(made)},
    )


def _spec(name: str, parameter: str, description: str) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": {parameter: {"type": "string"}},
        "required": [parameter],
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description=description, parameters=schema, effect="pure", toolset="shop")


SPECS = (
    _spec("price", "item", "Price of an item."),
    _spec("stock", "item", "How many of an item are there."),
    _spec("supplier", "item", "Who supplies an item."),
    _spec("country", "supplier", "Country of a supplier."),
    _spec("days", "supplier", "Days that a supplier needs."),
    _spec("code", "country", "Dialling code of a country."),
)


class Shop:
    """The tools of one shop."""

    name = "shop"

    def __init__(self, shop: dict[str, Any]) -> None:
        self._shop = shop
        self.tools: Sequence[Tool] = [Tool(spec=spec, invoke=partial(self._tell, spec.name)) for spec in SPECS]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def _tell(self, what: str, arguments: Arguments) -> Any:
        [of] = arguments.values()
        known = self._shop[what]
        if of not in known:
            raise KeyError(f"there is no {of!r} here")
        return known[of]
