from pathlib import Path

import pytest

from deepagent.budget import Limits
from deepagent.config import AgentConfig
from deepagent.evaluation.base import Episode, Judge, Score, Value
from deepagent.models.base import Sampling
from deepagent.runs.events import Replied
from deepagent.training.families.lookup import Lookup, LookupConfig
from deepagent.training.tiny import make_tiny

AGENT = AgentConfig(
    encoder="hash", execute=False, fold=None, limits=Limits(actions=3), sampling=Sampling(max_tokens=16)
)


class Arbitrary(Lookup):
    """The family with a reward that tells the rollouts of a random model apart: by what letters they are of."""

    async def score(self, episode: Episode, judge: Judge) -> Score:
        written = "".join(event.generated.segment.text for event in episode.events if isinstance(event, Replied))
        return Score(values={"success": Value.same(sum(map(ord, written)) % 7 / 7)})


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights that knows the words of the family."""
    folder = tmp_path_factory.mktemp("tiny")
    tasks = Lookup(LookupConfig(tasks=20)).tasks()
    texts = [task.prompt for task in tasks] + ['<tool_call>{"name": "price", "arguments": {"item": "tea"}}</tool_call>']
    make_tiny(folder, texts * 5, hidden=64, layers=2, context=2048, vocabulary=600)
    return folder
