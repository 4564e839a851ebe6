"""A fold keeps to the log: the model's words where they are valid, facts that are counted everywhere."""

import json
from typing import Any

import pytest

from deepagent.actions import Call, Execute, Fold, Malformed, Observation, Search
from deepagent.errors import ModelUnavailableError
from deepagent.memory.folder import FoldConfig, MemoryFolder
from deepagent.memory.render import render_memory
from deepagent.models import ScriptedModel
from deepagent.runs.events import ToolCalled, ToolReturned
from deepagent.runs.steps import Step, ToolUse

EPISODIC = {
    "task_description": "find the sum",
    "key_events": [{"step": "1", "description": "called add", "outcome": "5"}],
    "current_progress": "sum known",
}
WORKING = {
    "immediate_goal": "answer",
    "current_challenges": "none",
    "next_actions": [{"type": "decision", "description": "give 5"}],
}
NOTES = {
    "tools_used": [
        {"tool_name": "add", "response_pattern": "a number", "experience": "wants integers"},
        {"tool_name": "invented", "response_pattern": "?", "experience": "never called"},
    ],
    "derived_rules": ["look ids up first"],
}


def good(messages: Any, schema: Any) -> str:
    asked = {"EpisodicMemory": EPISODIC, "WorkingMemory": WORKING, "ToolNotes": NOTES}
    return json.dumps(asked[schema["title"]])


def step(number: int, action: Any, text: str, error: str | None = None, uses: Any = ()) -> Step:
    return Step(number, "", action, Observation(text=text, error=error), list(uses))


STEPS = [
    step(1, Search(query="adding"), "add(a: int)"),
    step(2, Call(name="add", arguments={"a": 2, "b": 3}), "5"),
    step(3, Call(name="add", arguments={"a": "x"}), "a: 'x' is not an integer", "invalid_arguments"),
    step(
        4,
        Execute(code="add(a=1, b=1)"),
        "2",
        uses=[
            ToolUse(
                ToolCalled(step=4, call=1, name="add", arguments={"a": 1, "b": 1}),
                ToolReturned(step=4, call=1, result="2"),
            )
        ],
    ),
    Step(5, "", Fold()),
]


async def fold(chat_replies: Any, steps: Any = STEPS, context: int = 4096, previous: Any = None, since: int = 0):
    model = ScriptedModel(chat_replies=chat_replies, context=context)
    return await MemoryFolder(model, FoldConfig()).fold("Add.", steps, since, previous), model


async def test_the_models_words_and_the_logs_counts_come_together():
    folding, model = await fold(good)
    memory = folding.memory
    assert memory.episodic.current_progress == "sum known"
    (record,) = memory.tool.tools_used
    assert record.tool_name == "add"
    assert record.calls == 3
    assert record.success_rate == pytest.approx(2 / 3, abs=1e-3)
    assert record.effective_parameters == ("a", "b")
    assert record.common_errors == ("invalid_arguments x1",)
    assert record.experience == "wants integers"
    assert memory.tool.derived_rules == ("look ids up first",)
    assert folding.problems == ()
    assert len(model.conversations) == 3


async def test_the_ledger_holds_every_finished_step_and_no_invented_one():
    folding, _ = await fold(good)
    assert [(entry.step, entry.ok) for entry in folding.memory.ledger] == [(1, True), (2, True), (3, False), (4, True)]
    assert folding.memory.ledger[1].result == "5"


async def test_an_answer_that_breaks_the_schema_is_asked_again_with_the_error():
    asked: list[str] = []

    def once_wrong(messages: Any, schema: Any) -> str:
        if schema["title"] == "WorkingMemory":
            asked.append(messages[-1].content)
            if len(asked) == 1:
                return '{"immediate_goal": "answer"}'
        return good(messages, schema)

    folding, _ = await fold(once_wrong)
    assert folding.memory.working.immediate_goal == "answer"
    assert "current_challenges: Field required" in asked[1]
    assert len(folding.problems) == 1


@pytest.mark.parametrize("reply", ["I would say: all is well.", "{}", '{"key_events": [', "[]", "x" * 100_000])
async def test_a_model_that_cannot_fold_is_replaced_by_the_log(reply):
    folding, _ = await fold(lambda messages, schema: reply)
    assert folding.memory.episodic.current_progress == "4 steps taken, 1 of them failed"
    assert any("add" in event.description for event in folding.memory.episodic.key_events)
    assert folding.memory.tool.tools_used[0].calls == 3
    assert sum("taken from the log instead" in problem for problem in folding.problems) == 3


async def test_a_model_that_is_down_is_replaced_by_the_log():
    def down(messages: Any, schema: Any) -> str:
        raise ModelUnavailableError("no server")

    folding, _ = await fold(down)
    assert len(folding.memory.ledger) == 4


async def test_history_larger_than_the_models_window_is_folded_in_pieces():
    long = [step(n, Call(name="add", arguments={"a": n}), f"result {n} " * 40) for n in range(1, 40)]
    _, model = await fold(good, steps=long, context=2048)
    assert len(model.conversations) > 3
    assert len(model.conversations) % 3 == 0
    for conversation in model.conversations:
        assert sum(len(message.content) for message in conversation) / 4 + 600 < 2048
    told = "".join(message.content for conversation in model.conversations for message in conversation)
    assert all(f"result {n} " in told for n in range(1, 40))


async def test_only_new_steps_are_read_and_the_old_memory_is_kept_in_view():
    first, _ = await fold(good)
    more = [*STEPS, step(6, Call(name="add", arguments={"a": 9}), "nine")]
    _, model = await fold(good, steps=more, previous=first.memory, since=5)
    asked = model.conversations[0][-1].content
    assert "nine" in asked
    assert "sum known" in asked
    assert "[step 2]" not in asked


async def test_a_second_fold_keeps_what_the_first_one_learnt():
    first, _ = await fold(good)
    more = [*STEPS, step(6, Call(name="add", arguments={"a": 9}), "nine")]
    second, _ = await fold(lambda messages, schema: "no JSON", steps=more, previous=first.memory, since=5)
    assert second.memory.tool.derived_rules == ("look ids up first",)
    assert second.memory.tool.tools_used[0].experience == "wants integers"
    assert second.memory.episodic.current_progress == "sum known"
    assert len(second.memory.ledger) == 5


async def test_folding_calls_fit_their_window_in_any_script():
    long = [step(n, Call(name="add", arguments={"a": n}), "漢字かな" * 300) for n in range(1, 8)]
    _, model = await fold(good, steps=long, context=4096)
    for conversation in model.conversations:
        assert sum(len(message.content.encode()) for message in conversation) / 3 + 900 < 4096


async def test_an_event_that_cites_no_step_of_the_log_is_dropped():
    def invents(messages: Any, schema: Any) -> str:
        events = [{"step": step, "description": "d", "outcome": "o"} for step in ("step 2", "99", "https://step1", "3")]
        return (
            json.dumps(EPISODIC | {"key_events": events}) if "Episodic" in schema["title"] else good(messages, schema)
        )

    folding, _ = await fold(invents)
    assert [event.step for event in folding.memory.episodic.key_events] == ["step 2", "3"]


async def test_a_line_that_is_too_long_is_cut_and_not_refused():
    def wordy(messages: Any, schema: Any) -> str:
        if "Working" in schema["title"]:
            return json.dumps(WORKING | {"immediate_goal": "g" * 2000, "next_actions": WORKING["next_actions"] * 9})
        return good(messages, schema)

    folding, _ = await fold(wordy)
    assert len(folding.memory.working.immediate_goal) == 160
    assert len(folding.memory.working.next_actions) == 2
    assert folding.problems == ()


async def test_repetitions_and_unreadable_replies_are_not_remembered():
    repeated = Step(3, "", Call(name="add", arguments={}), Observation(text="5", repeats=2))
    unreadable = step(4, Malformed(problem="no action"), "no action", "malformed")
    folding, model = await fold(good, steps=[*STEPS[:2], repeated, unreadable])
    assert [entry.step for entry in folding.memory.ledger] == [1, 2]
    assert "[step 3]" not in model.conversations[0][-1].content


async def test_rendered_memory_keeps_to_its_limit_and_says_what_it_left_out():
    long = [step(n, Call(name="add", arguments={"a": n}), f"result {n}") for n in range(1, 200)]
    folding, _ = await fold(good, steps=long)
    text = render_memory(folding.memory, 1500)
    assert len(text) <= 1500
    assert "199. call add" in text
    assert "more lines left out" in text
    assert "sum known" in text
