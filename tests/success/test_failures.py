"""The class of a failure, by rule, from the log of any framework."""

import pytest

from benchmarks.success.failures import failure
from deepagent.actions import Answer, Call, Execute, Malformed, Observation
from deepagent.evaluation.base import BenchmarkTask
from deepagent.runs.events import Intended, Observed
from deepagent.transcript import Segment

PLAIN = BenchmarkTask(id="a", prompt="How many litres in 12 jars?")
NAMED = BenchmarkTask(id="b", prompt="Who?", data={"tools": ["father_of"]})
RECORDED = BenchmarkTask(id="c", prompt="Book it.", data={"gold": [{"name": "Book", "arguments": {}}]})


def log(*done):
    events = []
    for step, (action, text, more) in enumerate(done, start=1):
        segment = Segment(kind="observation", text=text)
        events.append(Intended(step=step, thought="", action=action))
        if not isinstance(action, Answer):
            seen = Observation(text=text, **more)
            events.append(Observed(step=step, observation=seen, segment=segment, seconds=0.0))
    return events


def called(name="look", text="31 litres", **more):
    return Call(name=name, arguments={}), text, more


BROKEN = (Malformed(problem="no action"), "no action", {"error": "malformed"})


@pytest.mark.parametrize(
    ("task", "answer", "status", "done", "expected"),
    [
        (PLAIN, "31", "answered", [called()], "reasoning"),
        (PLAIN, "12", "answered", [called()], "reasoning"),
        (PLAIN, "8,124 litres", "answered", [called()], "invented value"),
        (PLAIN, "3", "answered", [called()], "reasoning"),  # too small to tell
        (PLAIN, "31", "answered", [(Execute(code="1"), "31", {})], "reasoning"),
        (PLAIN, "31", "answered", [], "nothing tried"),
        (PLAIN, "I cannot find it", "answered", [called()], "gave up"),
        (PLAIN, "KeyError: 'x'", "answered", [called()], "gave up"),
        (PLAIN, "", "answered", [called()], "gave up"),
        (PLAIN, None, "limit", [called()], "limit"),
        (PLAIN, "31", "forced", [called()], "limit"),
        (PLAIN, None, "limit", [called(), *[called(repeats=1)] * 3], "loop"),
        (PLAIN, None, "limit", [called(), BROKEN, BROKEN], "format"),
        (PLAIN, "31", "answered", [called(), BROKEN], "reasoning"),
        (NAMED, "Ann", "answered", [called("mother_of", "Ann")], "wrong tool"),
        (NAMED, "Ann", "answered", [called("father_of", "Ann")], "reasoning"),
        (RECORDED, "Done.", "answered", [called("Cancel")], "wrong tool"),
        (RECORDED, "Done.", "answered", [called("Book")], "reasoning"),
    ],
)
def test_the_first_class_that_holds(task, answer, status, done, expected):
    assert failure(task, answer, status, log(*done)) == expected
