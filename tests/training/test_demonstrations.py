"""What the oracle shows: in the model's tokens, in worlds that are opened first and closed after."""

from pathlib import Path

import pytest

from deepagent.actions import Action, Answer, Call
from deepagent.errors import TrainingError
from deepagent.evaluation.base import BenchmarkTask
from deepagent.runs.store import RunStore
from deepagent.training.families.lookup import Lookup, LookupConfig, Shop
from tests.training.conftest import AGENT

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


class Door(Shop):
    """A shop that notes how it was used."""

    def __init__(self, shop, seen: list[str]) -> None:
        super().__init__(shop)
        self._seen = seen

    async def __aenter__(self):
        self._seen.append("opened")
        return self

    async def __aexit__(self, kind, error, traceback):
        self._seen.append("closed")


@pytest.fixture
def dictated(tiny: Path):
    """Makes a model that writes these replies."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `train`")
    from deepagent.training.demonstrations import DictatedModel

    network = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    return lambda replies: DictatedModel(replies, "tiny", network, tokenizer, context=2048)


async def shown(family: Lookup, dictated, folder: Path):
    from deepagent.training.demonstrations import demonstrate

    agent = AGENT.model_copy(update={"limits": AGENT.limits.model_copy(update={"actions": 6})})
    with RunStore(folder / "runs.sqlite") as store:
        return await demonstrate(family, family.tasks(), dictated, agent, store)


async def test_every_task_has_a_world_that_is_opened_and_closed(dictated, tmp_path: Path):
    seen: list[str] = []

    class Guarded(Lookup):
        def world(self, task: BenchmarkTask) -> Shop:
            return Door(task.data["shop"], seen)

    assert len(await shown(Guarded(LookupConfig(tasks=2)), dictated, tmp_path)) >= 2
    assert seen == ["opened", "closed"] * 2


async def test_an_oracle_whose_step_fails_is_no_example_even_if_it_reaches_an_answer(dictated, tmp_path: Path):
    class Mistaken(Lookup):
        def oracle(self, task: BenchmarkTask) -> list[Action]:
            return [Call(name="no_such_tool", arguments={}), Answer(text=task.gold)]

    with pytest.raises(TrainingError, match=r"step 1 of the oracle of .* fails: There is no tool"):
        await shown(Mistaken(LookupConfig(tasks=1)), dictated, tmp_path)
