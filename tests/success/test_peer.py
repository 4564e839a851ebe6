"""A framework in a process of its own works on our tasks with our tools, and whatever it does is a result."""

import pytest

from benchmarks.success.peer import PeerWorker, Way
from benchmarks.success.served import Door
from deepagent import AgentConfig, Limits
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Metric, Score, Value
from deepagent.evaluation.benchmarks.called import calls
from deepagent.toolsets.base import ToolList
from deepagent.toolsets.functions import tool

DOOR = Door("http://127.0.0.1:1/v1", "none", 8192)


@tool(effect="pure")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(effect="pure")
def weather(city: str) -> str:
    """How the weather is in a city."""
    return "fine"


class Adding(Benchmark[BenchmarkConfig]):
    name = "adding"
    metrics = (Metric(name="right", meaning="the calls were seen", binary=True),)

    def __init__(self, mode="labelled"):
        super().__init__(BenchmarkConfig(), mode)

    @property
    def sources(self):
        return (ToolList("sums", [add, weather]),)

    def offered(self, task):
        return ["add"] if self.mode == "labelled" else None

    async def score(self, episode, judge):
        made = [(one.name, one.ok) for one in calls(episode.steps)]
        seen = made == [("add", False), ("no_such_tool", False), ("add", True)]
        return Score(values={"right": Value.same(seen and episode.answer is not None)})


def worker(mode="labelled", *, finds=False, seconds=60.0) -> PeerWorker:
    way = Way("tests.success.scripted_peer", None, finds=finds)
    config = AgentConfig(encoder="hash", found=1, limits=Limits(actions=5, seconds=seconds))
    return PeerWorker(way, Adding(mode), DOOR, config)


@pytest.mark.parametrize(
    ("mode", "finds", "answer"),
    [
        ("labelled", False, "3 by add"),
        ("open-set", False, "3 by add, weather"),  # chosen by the task's words: all, where they are few
        ("open-set", True, "3 by add"),
    ],
)
async def test_it_works_with_the_tasks_tools(mode, finds, answer):
    async with worker(mode, finds=finds) as peer:
        result = await peer.episode(BenchmarkTask(id="a", prompt="Add."), 0)
    assert (result.status, result.calls) == ("answered", 4)
    said, missing, unknown = result.answer.split("; ", 2)
    assert said == answer
    assert "'b' is a required property" in missing
    assert unknown == "error: there is no tool named 'no_such_tool'"
    assert result.score.values["right"].corrected == 1


async def test_a_failure_is_a_result_and_the_next_task_goes_on():
    async with worker() as peer:
        failed = await peer.episode(BenchmarkTask(id="a", prompt="raise"), 0)
        solved = await peer.episode(BenchmarkTask(id="b", prompt="Add."), 0)
    assert (failed.status, failed.answer) == ("limit", None)
    assert failed.reason == "ValueError: the limit of turns is reached"
    assert solved.score.values["right"].corrected == 1


async def test_who_hangs_is_ended_at_the_limit_and_started_again():
    async with worker(seconds=3) as peer:
        hung = await peer.episode(BenchmarkTask(id="a", prompt="hang"), 0)
    assert (hung.status, hung.reason) == ("limit", "the limit of 3 s is reached")


async def test_a_framework_that_dies_has_failed_and_is_started_again():
    async with worker() as peer:
        died = await peer.episode(BenchmarkTask(id="a", prompt="die"), 0)
        solved = await peer.episode(BenchmarkTask(id="b", prompt="Add."), 0)
    assert (died.status, died.score.values["right"].corrected) == ("failed", 0)
    assert "ended by itself" in died.reason
    assert solved.status == "answered"
