"""Long tasks with known things to remember: facts, rules and a running total, planted at random steps."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from deepagent.actions import Call, Observation
from deepagent.runs.steps import Step

TASK = (
    "Inspect the stations of the waterworks one after another with inspect(station). Remember every access code and "
    "every rule from the desk: you will be asked for them at the end. Keep the running total of litres lost."
)
_PLACES = ("valve", "gate", "pump house", "depot", "meter room", "sluice", "reservoir", "chlorine store")
_QUIET = (
    "The pumps ran evenly at {bar} bar.",
    "The yard was swept and the fence is whole.",
    "Filter {n} was rinsed and put back.",
    "The logbook was signed at {hour}:{minute:02}.",
    "Nobody was on site; the lamp by the door is weak.",
    "The level stood at {level} centimetres, as expected.",
    "A delivery of {n} sacks of salt is awaited.",
)


@dataclass(frozen=True)
class Planted:
    """Something to remember.

    Attributes:
        step: where it is first said.
        question: the words by which it is asked for.
        exact: what an answer must hold, each word for word.
    """

    kind: str
    step: int
    question: str
    exact: tuple[str, ...]

    def in_text(self, text: str) -> bool:
        """Whether the text holds all of it."""
        return all(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text) for one in self.exact)


@dataclass(frozen=True)
class LongTask:
    """One history, as a run would have made it, and what is worth remembering of it."""

    steps: tuple[Step, ...]
    planted: tuple[Planted, ...]
    totals: tuple[str, ...]
    """The running total after each step."""


def long_task(seed: int, length: int) -> LongTask:
    """The task of a seed: about one fact in five steps, one rule in twenty-five."""
    dice = random.Random(seed)
    facts = sorted(dice.sample(range(1, length + 1), length // 5 + length // 25))
    rules = set(dice.sample(facts, length // 25))
    planted: list[Planted] = []
    steps: list[Step] = []
    totals: list[str] = []
    total = dice.randrange(10_000, 20_000)
    for number in range(1, length + 1):
        lost = dice.randrange(100, 900)
        total += lost
        said = [_quiet(dice) for _ in range(dice.randrange(1, 4))]
        if number in facts:
            one = _rule(dice, number) if number in rules else _fact(dice, number)
            planted.append(one[0])
            said.insert(dice.randrange(len(said) + 1), one[1])
        text = f"Station {number}: {' '.join(said)} Lost here: {lost} litres."
        thought = f"I go on with station {number}. Running total of litres lost before it: {total - lost}."
        action = Call(name="inspect", arguments={"station": number})
        steps.append(Step(number, thought, action, Observation(text=text)))
        totals.append(str(total - lost))
    return LongTask(tuple(steps), tuple(planted), tuple(totals))


def _quiet(dice: random.Random) -> str:
    return dice.choice(_QUIET).format(
        bar=round(dice.uniform(2, 6), 1), n=dice.randrange(2, 90), hour=dice.randrange(6, 18),
        minute=dice.randrange(60), level=dice.randrange(120, 480),
    )  # fmt: skip


def _fact(dice: random.Random, step: int) -> tuple[Planted, str]:
    place = f"{dice.choice(_PLACES)} {step * 10 + dice.randrange(10)}"
    code = f"{dice.choice('ABCDEFGHKMNPRSTUVWXYZ')}{dice.choice('ABCDEFGHKMNPRSTUVWXYZ')}-{dice.randrange(1000, 9999)}"
    return Planted("fact", step, f"access code {place}", (code,)), f"The access code of {place} is {code}."


def _rule(dice: random.Random, step: int) -> tuple[Planted, str]:
    place = f"{dice.choice(_PLACES)} {step * 10 + dice.randrange(10)}"
    hour = f"{dice.randrange(5, 12):02}:{dice.randrange(60):02}"
    return (
        Planted("rule", step, f"rule desk {place}", (place, hour)),
        f"Rule from the desk: never open {place} before {hour}.",
    )
