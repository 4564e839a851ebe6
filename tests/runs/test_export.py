"""Runs in the shapes that other programs and people take."""

import csv
import json
import re

import pytest

from deepagent.runs.export import export
from deepagent.runs.store import RunStore
from tests.support import answer, call, calling, execute, record
from tests.viewer.runs import HOSTILE, write_run


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


SCRIPT = [call("add", a=1, b=2), execute("print(add(a=3, b=4))"), "I do nothing.", "10</answer>"]
SAID = [*SCRIPT[:3], "<answer>10</answer>"]


@pytest.fixture
async def events(tmp_path):
    """A run of the real agent."""
    recording = await record(SCRIPT, tmp_path, tools=[add], task="Add <b>all</b>.")
    with RunStore(tmp_path / "runs.sqlite") as store:
        return store.events(recording.run.id)


def test_a_line_is_an_event_as_the_store_holds_it(events):
    lines = [json.loads(line) for line in export(events, "jsonl")]
    assert [line["sequence"] for line in lines] == list(range(1, len(events) + 1))
    assert lines[0]["event"]["kind"] == "started"


def test_a_conversation_takes_turns_and_holds_what_was_said_and_shown(events):
    row = json.loads("".join(export(events, "sft")))
    roles = [message["role"] for message in row["messages"]]
    assert roles[0] == "system"
    assert roles[1:] == ["user", "assistant"] * (len(roles[1:]) // 2)
    said = [message["content"] for message in row["messages"]]
    assert [text for text in said if text in SAID] == SAID
    assert "<tool_call_result>\n3\n</tool_call_result>" in said
    assert "<execute_result>\n7\n</execute_result>" in said
    assert row["status"] == "answered"


async def test_functions_are_spelled_as_chat_apis_spell_them(tmp_path):
    script = [calling(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})), calling(content="7")]
    recording = await record(script, tmp_path, tools=[add], functions=True)
    with RunStore(tmp_path / "runs.sqlite") as store:
        row = json.loads("".join(export(store.events(recording.run.id), "sft")))
    assert "add" in [tool["function"]["name"] for tool in row["tools"]]
    asked = next(message for message in row["messages"] if "tool_calls" in message)
    assert [json.loads(one["function"]["arguments"])["a"] for one in asked["tool_calls"]] == [1, 3]
    shown = [message for message in row["messages"] if message["role"] == "tool"]
    assert [message["tool_call_id"] for message in shown] == [one["id"] for one in asked["tool_calls"]]


def test_every_window_is_a_conversation(tmp_path):
    with RunStore(tmp_path / "long.sqlite") as store:
        rows = [json.loads(line) for line in export(store.events(write_run(store, 130)), "sft")]
    assert [row["window"] for row in rows] == [1, 2, 3]


def test_the_table_counts_what_the_run_counted(events):
    rows = list(csv.DictReader("".join(export(events, "csv")).splitlines()))
    assert [row["action"] for row in rows] == ["call", "execute", "malformed", "answer"]
    assert [row["tool"] for row in rows] == ["add", "", "", ""]
    assert rows[2]["error"] == "malformed"
    ended = events[-1].event
    for column in ("prompt_tokens", "cached_tokens", "completion_tokens"):
        assert sum(int(row[column]) for row in rows) == getattr(ended.usage, column)


async def test_no_cell_is_a_formula(tmp_path):
    recording = await record([call("=HYPERLINK(1)"), answer("1")], tmp_path, tools=[add])
    with RunStore(tmp_path / "runs.sqlite") as store:
        assert "'=HYPERLINK(1)" in "".join(export(store.events(recording.run.id), "csv"))


def test_a_report_is_told_in_order(events):
    text = "".join(export(events, "markdown"))
    assert re.findall(r"^### (.*)", text, re.MULTILINE) == ["1. Call `add`", "2. Execute", "3. Malformed", "4. Answer"]
    assert "**Answered**: 10" in text
    assert "> Add &lt;b\\>all&lt;/b\\>." in text


def test_nothing_in_a_report_becomes_markup(tmp_path):
    with RunStore(tmp_path / "hostile.sqlite") as store:
        run = write_run(store, 9, task=HOSTILE, answer=f"{HOSTILE} ![x](http://evil.example) ``` # x")
        text = "".join(export(store.events(run), "markdown"))
    outside = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside
    assert "<img" not in outside
    assert "](http" not in outside


def test_a_block_is_not_ended_by_its_text(tmp_path):
    from deepagent.runs.export.report import _fenced

    assert _fenced("a\n```\nb").startswith("````\n")
