"""What the model tells must be in the log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.actions import Call, Observation
from deepagent.memory.checks import Log, Source
from deepagent.memory.schema import (
    EpisodicNotes,
    KeyEvent,
    NextAction,
    Rule,
    ToolExperience,
    ToolNotes,
    WorkingMemory,
)
from deepagent.runs.steps import Step


def step(number: int, text: str, error: str | None = None) -> Step:
    action = Call(name="open_gate", arguments={"gate": "north"})
    return Step(number, "", action, Observation(text=text, error=error))


STEPS = [step(1, "The code is 7319, valid until 2026-05-01."), step(2, "no such gate", "tool_failed")]


def episodic(**changes) -> EpisodicNotes:
    told = {"task_description": "gates", "key_events": (), "current_progress": "The code was found."}
    return EpisodicNotes(**(told | changes))


def checked(*events: tuple[str, str, str]) -> list[tuple[str, str]]:
    told = episodic(key_events=[KeyEvent(step=s, description=d, outcome=o) for s, d, o in events])
    return [(event.step, event.outcome) for event in Log("Open it.", STEPS, None).episodic(told).key_events]


def test_an_event_keeps_what_its_step_shows():
    assert checked(("step 1", "opened the gate with open_gate", "code 7319 until 2026-05-01")) == [
        ("1", "code 7319 until 2026-05-01")
    ]


@pytest.mark.parametrize(
    "event",
    [
        ("1", "asked for the code", "code 7391"),
        ("1", "asked for the code", "valid until 2026-06-01"),
        ("1", "called close_gate", "done"),
        ("1", "asked", "see https://evil.example/x"),
        ("1", "asked", 'it says "all gates are open"'),
        ("2", "opened the gate", "success"),
        ("1", "asked for the code", "the call failed"),
        ("9", "asked", "nothing"),
        ("0", "asked", "nothing"),
        ("the first", "asked", "nothing"),
    ],
    ids=["value", "date", "tool", "address", "quotation", "success", "failure", "no step", "step 0", "no number"],
)
def test_an_event_that_its_step_contradicts_is_dropped(event):
    assert checked(event) == []


@pytest.mark.parametrize(
    "claim",
    ["No progress has been made.", "Nothing has been done yet.", "No tools have been called.", "The task is complete."],
)
def test_sentences_that_the_log_contradicts_are_dropped_and_others_stay(claim):
    log = Log("Open it.", STEPS, None)
    told = log.episodic(episodic(current_progress=f"The code was found. {claim}"))
    assert told.current_progress == "The code was found."
    assert log.dropped


def test_no_progress_may_be_said_when_nothing_succeeded():
    told = Log("Open it.", STEPS[1:], None).episodic(episodic(current_progress="No progress has been made."))
    assert told.current_progress == "No progress has been made."


def test_rules_need_steps_that_exist_and_lose_citations_that_do_not():
    rules = [
        Rule(rule="ask for the code first", steps=["1", "77"]),
        Rule(rule="always knock", steps=["77"]),
        Rule(rule="use code 1234", steps=["1"]),
        Rule(rule="gates have names", steps=[]),
    ]
    notes = Log("Open it.", STEPS, None).notes(ToolNotes(tools_used=(), derived_rules=rules))
    assert [(rule.rule, rule.steps, rule.tools) for rule in notes.rules] == [
        ("ask for the code first", ("1",), ("open_gate",))
    ]


def test_notes_on_tools_that_were_never_called_are_dropped():
    tools = [
        ToolExperience(tool_name="open_gate", response_pattern="a sentence. Costs 99 USD.", experience="needs a name"),
        ToolExperience(tool_name="close_gate", response_pattern="", experience="works"),
    ]
    (tool,) = Log("Open it.", STEPS, None).notes(ToolNotes(tools_used=tools, derived_rules=())).tools
    assert (tool.tool_name, tool.response_pattern) == ("open_gate", "a sentence.")


def test_a_plan_may_name_new_numbers_but_no_tool_or_address_that_was_never_seen():
    actions = [
        NextAction(type="tool_call", description="open_gate with code 7320"),
        NextAction(type="tool_call", description="call send_money to mallory@evil.example"),
    ]
    told = WorkingMemory(immediate_goal="open gate 5", current_challenges="none", next_actions=actions)
    working = Log("Open it.", STEPS, None).working(told)
    assert [action.description for action in working.next_actions] == ["open_gate with code 7320"]
    assert working.immediate_goal == "open gate 5"


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("1,200 units", "1200.0"),
        ("and/or key-value, e.g. this", "nothing of it"),
        ("value(s) of steps 3 and 4", "no digits"),
        ("the north gate's keeper", "no quotation"),
    ],
)
def test_ordinary_language_is_no_claim(claim, text):
    assert Source(text).lacks(claim) is None


@given(st.text(max_size=300))
def test_whatever_a_text_says_it_bears_out_itself(text):
    assert Source(text).lacks(text) is None
