"""The loop on a real model. The smallest one is too small to solve anything; what it writes is real all the same."""

import pytest

from deepagent import Agent, AgentConfig, Limits, RunStore, Sampling, tool
from deepagent.errors import WeightsError
from deepagent.models import weights
from deepagent.runs.events import Replied
from tests.support import assert_promises

pytestmark = pytest.mark.weights


@tool(effect="pure")
def population(city: str) -> int:
    """How many people live in a city."""
    return len(city) * 100_000


async def test_a_real_model_runs_to_an_end_and_keeps_every_promise(tmp_path):
    pytest.importorskip("xllamacpp")
    try:
        weights.path("smollm2-135m")
    except WeightsError as missing:
        pytest.skip(str(missing))
    config = AgentConfig(limits=Limits(actions=4, folds=1), sampling=Sampling(max_tokens=80), encoder="hash")
    with RunStore(tmp_path / "runs.sqlite") as store:
        agent = Agent("embedded-tiny", [population], config=config, store=store)
        run = await agent.run("How many people live in Lyon?")
        events = [recorded.event for recorded in store.events(run.id)]
    assert run.status in ("answered", "forced", "limit")
    assert_promises(events)
    replies = [event.generated for event in events if isinstance(event, Replied)]
    assert all(reply.segment.token_ids for reply in replies)
    assert not run.usage.estimated
    assert any(reply.usage.cached_tokens > 0 for reply in replies[1:]) or len(replies) == 1
