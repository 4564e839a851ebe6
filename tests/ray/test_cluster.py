"""Evaluations on a real Ray cluster: two raylets on this machine, one of which is killed. Run by `make test-ray`."""

import os
import signal
import sys
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from deepagent import AgentConfig, RunStore
from deepagent.config import RunConfig
from deepagent.errors import UsageError
from deepagent.evaluation import runner
from deepagent.evaluation.plan import make_plan, opened
from deepagent.evaluation.store import ResultStore
from deepagent.runs.events import Started

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # Ray's own: of its processes, files and deprecations
]

PLAN = make_plan("toolhop", RunConfig(model="empty", agent=AgentConfig(encoder="hash", execute=False, fold=None)))


@pytest.fixture
def cluster(monkeypatch):
    """A head without a CPU, and two nodes with one actor each, all on loopback."""
    pytest.importorskip("ray", reason="needs Ray: make test-ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    for module in list(sys.modules.values()):  # there is no setting for it
        if module.__name__.startswith("ray.") and hasattr(module, "get_node_ip_address"):
            monkeypatch.setattr(module, "get_node_ip_address", lambda *args, **options: "127.0.0.1")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False)
    made.wait_for_nodes()
    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
    yield made, nodes
    ray.shutdown()
    made.shutdown()


async def evaluate(folder, *, tasks, seeds, resume=False, tell=lambda progress: None, plan=PLAN, concurrency=8):
    from deepagent.evaluation.ray_executor import RayExecutor

    with RunStore(folder / "runs.sqlite") as runs, ResultStore(folder / "results.sqlite") as results:
        async with opened(plan, runs) as held:
            evaluation = runner.begin(results, held.setup, held.benchmark.metrics, resume=resume)
            async with RayExecutor(plan, held, runs, concurrency=concurrency, actors=2) as executor:
                await runner.run(
                    evaluation, held.tasks[:tasks], seeds=seeds, executor=executor, store=results, tell=tell
                )
        return results.results(evaluation.id), runs


async def test_nothing_is_lost_and_nothing_counts_twice_when_a_node_dies(cluster, tmp_path):
    made, nodes = cluster
    counted = Counter()

    def tell(progress):
        if progress.result is not None:
            counted[progress.result.task, progress.result.seed] += 1
            if progress.done == 40:
                made.remove_node(nodes.pop(), allow_graceful=False)

    results, _ = await evaluate(tmp_path, tasks=50, seeds=4, tell=tell)
    assert not nodes[1:], "the node was killed in the middle"
    assert {(one.task, one.seed) for one in results} == set(counted)
    assert len(results) == 200
    assert set(counted.values()) == {1}
    assert {one.status for one in results} == {"limit"}
    assert any(one.attempts > 1 for one in results), "what was in flight on it was done again"
    with RunStore(tmp_path / "runs.sqlite") as runs:
        for one in results[::20]:
            events = [recorded.event for recorded in runs.events(one.run)]
            assert isinstance(events[0], Started)
            assert events[0].benchmark == f"toolhop/{one.task}"


async def test_an_evaluation_goes_on_on_another_executor(cluster, tmp_path):
    await evaluate(tmp_path, tasks=5, seeds=1)
    told = []
    results, _ = await evaluate(tmp_path, tasks=8, seeds=1, resume=True, tell=told.append)
    assert (told[0].done, told[0].total) == (5, 8)
    assert len(results) == 8


def actors():
    """Processes of actors below this one."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "ray::EpisodeActor" in " ".join(child.cmdline()):
                yield child.pid


async def test_an_actor_that_is_killed_is_replaced(cluster, tmp_path):
    killed = []

    def tell(progress):
        if progress.done in (20, 60) and progress.result is not None:
            pid = next(one for one in actors() if one not in killed)
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    results, _ = await evaluate(tmp_path, tasks=50, seeds=3, tell=tell)
    assert len(killed) == 2
    assert len(results) == len({(one.task, one.seed) for one in results}) == 150
    assert {one.status for one in results} == {"limit"}


async def test_a_node_with_another_setup_is_refused(cluster, tmp_path):
    from deepagent.evaluation.ray_executor import RayExecutor

    other = PLAN.model_copy(update={"baseline": "react"})
    with RunStore(tmp_path / "runs.sqlite") as runs, ResultStore(tmp_path / "results.sqlite") as results:
        async with opened(PLAN, runs) as held:
            evaluation = runner.begin(results, held.setup, held.benchmark.metrics, resume=False)
            async with RayExecutor(other, held, runs, concurrency=2) as executor:
                with pytest.raises(UsageError, match="another setup"):
                    await runner.run(evaluation, held.tasks[:2], seeds=1, executor=executor, store=results)
