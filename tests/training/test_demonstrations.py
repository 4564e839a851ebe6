"""What the oracle shows: in the model's tokens, in worlds that are opened first and closed after."""

from collections.abc import Iterable
from pathlib import Path

import pytest

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


async def test_every_task_has_a_world_that_is_opened_and_closed(tiny: Path, tmp_path: Path):
    transformers = pytest.importorskip("transformers", reason="needs the extra `train`")
    from deepagent.training.demonstrations import DictatedModel, demonstrate

    seen: list[str] = []

    class Guarded(Lookup):
        def world(self, task: BenchmarkTask) -> Shop:
            return Door(task.data["shop"], seen)

    network = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)

    def dictated(replies: Iterable[str]) -> DictatedModel:
        return DictatedModel(replies, "tiny", network, tokenizer, context=2048)

    family = Guarded(LookupConfig(tasks=2))
    agent = AGENT.model_copy(update={"limits": AGENT.limits.model_copy(update={"actions": 6})})
    with RunStore(tmp_path / "runs.sqlite") as store:
        shown = await demonstrate(family, family.tasks(), dictated, agent, store)
    assert seen == ["opened", "closed"] * 2
    assert len(shown) >= 2
