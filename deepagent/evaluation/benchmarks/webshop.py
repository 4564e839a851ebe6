"""WebShop: buy what an instruction asks for.

Scored by the original's reward of the purchase (see `deepagent.toolsets.webshop.reward` for the formula, and for what
`corrected` mends); nothing bought is worth 0. `success` is a reward of 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Self

from pydantic import Field

from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.toolsets.webshop import official
from deepagent.toolsets.webshop.catalogue import Goal, Shop
from deepagent.toolsets.webshop.pages import View, render
from deepagent.toolsets.webshop.reward import NOTHING, check_installed
from deepagent.toolsets.webshop.synthetic import synthetic_shop
from deepagent.toolsets.webshop.toolset import WebShop

_PROMPT = """You are shopping on a web site. {wanted}

Search with the tool `search`, and open a product by clicking its number. On the product's page click every option \
that is asked for, then click 'Buy Now'. The tool `click` takes the text of what is clicked. The first purchase ends \
the task."""
_ON_THE_PAGE = "The tool `look` shows you the page, with the instruction that says what to buy."
_WHOLE = 1.0


class WebShopConfig(BenchmarkConfig):
    """Where the shop is; by default one of made-up products."""

    server: str | None = None
    """URL of the original's server."""
    files: official.Files | None = None
    """The original's item files."""
    goals: int | None = Field(None, ge=1)
    """The first so many goals. The original's test set are the first 500, and DeepAgent's run is the first 250."""
    seed: int = 0
    """Another seed makes another shop of made-up products."""


class WebShopBenchmark(Benchmark[WebShopConfig]):
    """The benchmark."""

    name = "webshop"
    about = "buy in a shop what an instruction asks for"
    modes = ("labelled",)
    metrics = (
        Metric(name="success", meaning="what was bought is all that was asked for", binary=True, published=True),
        Metric(name="reward", meaning="the original's reward: attributes, options, price, type", published=True),
    )
    Config = WebShopConfig

    async def __aenter__(self) -> Self:
        if not self.config.server:  # the original's server computes the rewards itself
            check_installed()
        return await super().__aenter__()

    @cached_property
    def _shop(self) -> Shop:
        files = self.config.files
        return official.load(files) if files else synthetic_shop(self.config.seed)

    def tasks(self) -> Sequence[BenchmarkTask]:
        """One task a goal. On a server the instruction is on the page."""
        if self.config.server:
            prompt = _PROMPT.format(wanted=_ON_THE_PAGE)
            return [BenchmarkTask(id=f"goal-{number}", prompt=prompt) for number in range(self.config.goals or 500)]
        return [
            BenchmarkTask(
                id=f"goal-{number}",
                prompt=_PROMPT.format(wanted=f"Your instruction: {goal.instruction}"),
                gold=goal.asin,
                tags={"category": self._shop.products[goal.asin].category},
                data=goal.model_dump(mode="json"),
            )
            for number, goal in enumerate(self._shop.goals[: self.config.goals])
        ]

    def world(self, task: BenchmarkTask) -> WebShop:
        """A visit of its own to the shop."""
        if self.config.server:
            return WebShop.remote(self.config.server, int(task.id.removeprefix("goal-")))
        return WebShop.own(self._shop, self._goal(task))

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """The reward of what was bought."""
        world = episode.world
        worth = (world.reward if isinstance(world, WebShop) else None) or NOTHING
        return Score(
            values={
                "success": Value(
                    published=float(worth.published == _WHOLE), corrected=float(worth.corrected == _WHOLE)
                ),
                "reward": Value(published=worth.published, corrected=worth.corrected),
            }
        )

    def oracle(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """The way to the product that the goal was written for."""
        if self.config.server:
            return None
        clicks = [Call(name="click", arguments={"value": value}) for value in self._way(self._goal(task))]
        search = Call(name="search", arguments={"keywords": self._shop.products[task.gold].title})
        return [search, *clicks, Answer(text="bought")]

    def _goal(self, task: BenchmarkTask) -> Goal:
        return Goal.model_validate(task.data)

    def _way(self, goal: Goal) -> Iterator[str]:
        """What is clicked after a search for the product's own title."""
        product = self._shop.products[goal.asin]
        view = View("results", product.title.lower())
        while goal.asin.lower() not in (clickable := render(self._shop, goal.instruction, view).clickable):
            yield "Next >"
            view = clickable["next >"]
        yield goal.asin
        wanted = set(goal.options)
        yield from (value for values in product.options.values() for value in values if value in wanted)
        yield "Buy Now"
