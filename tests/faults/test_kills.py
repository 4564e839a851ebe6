"""Killed at any event: nothing is paid or done twice, and the story is the same."""

import pytest

from deepagent import FoldConfig, Limits, tool
from deepagent.runs.events import Ended, Observed
from deepagent.runs.progress import prompts
from deepagent.runs.store import RunStore
from tests.faults.kills import essence, killed_at, resumed, scripted
from tests.memory.test_folder import good
from tests.support import HASHED, answer, call, calling, execute

made: list[str] = []


@pytest.fixture(autouse=True)
def nothing_made():
    made.clear()


@tool(effect="pure")
def reading(day: int) -> dict[str, int]:
    """The meter's reading of one day."""
    made.append(f"reading {day}")
    return {"day": day, "units": day * 7}


@tool(effect="pure")
def remarks(day: int) -> str:
    """Long remarks on one day."""
    return f"day {day}: " + "The meter was in good order and was read at noon. " * 9


@tool(effect="unsafe")
def order(article: str) -> str:
    """Orders an article."""
    made.append(f"order {article}")
    return f"ordered {article}"


TOOLS = [reading, remarks, order]

TAGS = [
    call("reading", day=1),
    call("reading", day=1),  # in vain
    "I only talk, and then",
    call("order", article="lamp"),
    call("nonsense", day=1),
    "I quote `</execute>` and go on.",
    call("reading", day=2),
    answer("14"),
]
CODE = [
    execute("x = reading(day=3)['units']\nprint(x)"),
    execute("print(order(article=f'{x} lamps'), reading(day=x)['units'])\nopen('note.txt', 'a').write('once\\n')"),
    execute("y = x + 1\nprint(open('note.txt').read(), y)"),
    execute("final_answer(f'{x} {y}')"),
]
NATIVE = [
    calling(("reading", {"day": 1}), ("order", {"article": "lamp"}), ("reading", {"day": 2})),
    calling(("execute", {"code": "z = 5"}), ("execute", {"code": "print(z)"})),
    calling(("reading", {"day": 1}), content="again"),
    calling(("reading", "no JSON"), ("reading", {"day": 4})),
    calling(content="done"),
]
FOLDS = [
    *[call("remarks", day=day) for day in range(1, 4)],
    "Too long.\n<fold_thought>",
    *[call("remarks", day=day) for day in range(4, 7)],
    "Too long again.\n<fold_thought>",
    call("recall", id="1"),
    answer("42"),
]
SMALL_FOLDS = HASHED.model_copy(update={"fold": FoldConfig(shrink=0.95)})

SCRIPTS = {
    "tags": (scripted(TAGS), HASHED),
    "code": (scripted(CODE), HASHED),
    "native": (scripted(NATIVE, functions=True), HASHED),
    "folds": (scripted(FOLDS, chat_replies=good), SMALL_FOLDS),
    "limit": (scripted([*TAGS[:4], "7</answer>"]), HASHED.model_copy(update={"limits": Limits(actions=4)})),
}


def _is_whole(folder):
    with RunStore(folder / "runs.sqlite") as store:
        return store.runs()[0].ended is not None


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_run_that_is_killed_at_any_event_goes_on_as_if_nothing_had_been(name, tmp_path, walls, counted):
    make, config = SCRIPTS[name]
    assert await killed_at(10**6, tmp_path, make, TOOLS, config) is None
    with RunStore(tmp_path / "runs.sqlite") as store:
        whole = [one.event for one in store.events(store.runs()[0].id)]
    wanted, done, unlike = essence(whole), list(made), 0
    for number in range(1, len(whole)):
        made.clear()
        folder = tmp_path / str(number)
        run = await killed_at(number, folder, make, TOOLS, config)
        assert run is not None
        if _is_whole(folder):
            continue  # its last events were written together
        events = await resumed(run, folder, make, TOOLS, config)
        unknown = [e for e in events if isinstance(e, Observed) and e.observation.error == "interrupted"]
        told = essence(events)
        if unknown or "is not known" in str(told):
            unlike += 1
        else:
            assert told == wanted, f"killed at event {number}, {whole[number - 1].kind}"
            assert [w.text for _, w in prompts(events)] == [w.text for _, w in prompts(whole)]
        assert isinstance(events[-1], Ended)
        assert events[-1].answer == whole[-1].answer
        assert events[-1].steps == whole[-1].steps
        assert events[-1].usage.completion_tokens == whole[-1].usage.completion_tokens, "a reply was paid twice"
        assert all(made.count(one) == 1 for one in made if one.startswith("order"))
        assert len(made) <= len(done) + 1, "more than the call that was under way was made twice"
    assert unlike <= 6, "only a kill inside of an unsafe call may change the story"
    counted(len(whole) - 1, f"kills, one at each event of the run `{name}`")
