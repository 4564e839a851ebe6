"""What became of a memory since the fold before, and where two runs part."""

from deepagent.actions import Answer, Call, Observation
from deepagent.viewer.differences import compare, first_divergence, memories
from deepagent.viewer.timeline import Said, StepEntry

BEFORE = {
    "episodic": {
        "current_progress": "one month is counted",
        "key_events": [{"step": "1", "description": "found the tool"}],
    },
    "working": {"immediate_goal": "count May"},
    "tool": {
        "tools_used": [{"tool_name": "list_orders", "calls": 1, "success_rate": 0.5}],
        "derived_rules": ["ask once"],
    },
}
NOW = {
    "episodic": {
        "current_progress": "two months are counted",
        "key_events": [{"step": "1", "description": "found the tool"}, {"step": "4", "description": "counted April"}],
    },
    "working": {"immediate_goal": "count May", "current_challenges": "names are double"},
    "tool": {"tools_used": [{"tool_name": "list_orders", "calls": 4, "success_rate": 0.75}], "derived_rules": []},
}


def lines(columns):
    return {
        column.name: [(line.label, line.state, "".join(w for _, w in line.words)) for line in column.lines]
        for column in columns
    }


def test_the_first_memory_is_compared_with_nothing():
    shown = lines(memories(BEFORE, None))
    assert shown["working"] == [("immediate goal", None, "count May")]
    assert shown["tool"][0] == ("tools used ·", None, "list_orders · calls 1 · success rate 50%")


def test_every_line_says_what_became_of_it():
    shown = lines(memories(NOW, BEFORE))
    assert [state for _, state, _ in shown["episodic"]] == ["changed", "same", "new"]
    assert [(label, state) for label, state, _ in shown["working"]] == [
        ("immediate goal", "same"), ("current challenges", "new"),
    ]  # fmt: skip
    assert [(state, text[:11]) for _, state, text in shown["tool"]] == [
        ("changed", "list_orders"), ("gone", "ask once"),
    ]  # fmt: skip


def test_a_changed_line_shows_the_words_that_changed():
    changed = memories(NOW, BEFORE)[0].lines[0]
    assert [word for state, word in changed.words if state == "gone"] == ["one", "month", "is"]
    assert [word for state, word in changed.words if state == "new"] == ["two", "months", "are"]


def test_a_memory_of_another_schema_is_shown_as_it_is():
    assert lines(memories({"working": ["plain"], "tool": None}, None))["working"] == [(" ·", None, "plain")]


def done(*actions):
    entries = []
    for number, (name, result) in enumerate(actions, start=1):
        entry = StepEntry("step", f"step-{number}", 0.0, number, number, number=number)
        entry.action = Answer(text=result) if name == "answer" else Call(name=name, arguments={})
        entry.observation, entry.result = Observation(text=result), Said(result, "")
        entries.append(entry)
    return entries


def test_runs_are_aligned_by_what_was_done():
    left = done(("a", "1"), ("b", "2"), ("c", "3"), ("answer", "x"))
    right = done(("a", "1"), ("b", "other"), ("extra", "0"), ("c", "3"), ("answer", "y"))
    pairs = compare(left, right)
    assert [(pair.left and pair.left.number, pair.right and pair.right.number, pair.state) for pair in pairs] == [
        (1, 1, "same"), (2, 2, "result"), (None, 3, "differs"), (3, 4, "same"), (4, 5, "differs"),
    ]  # fmt: skip
    assert first_divergence(pairs) == 1


def test_equal_runs_do_not_part():
    assert first_divergence(compare(done(("a", "1")), done(("a", "1")))) is None
    assert compare([], []) == []
