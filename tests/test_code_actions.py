"""What code can do in a run: search and call tools, end the task, read attachments, leave files behind."""

import asyncio
import os
import time

import pytest

from deepagent import Agent, tool
from deepagent.codecalls import CodeCalls
from deepagent.errors import ConfigError, UsageError
from deepagent.models import ScriptedModel
from deepagent.runs.events import Ended, Observed, ToolCalled, ToolReturned
from deepagent.runs.store import RunStore
from deepagent.sandbox import SandboxConfig
from tests.sandbox.processes import descendants, until
from tests.support import HASHED, WatchedModel, assert_promises, call, execute, record

DONE = "<answer>x</answer>"
pytestmark = pytest.mark.usefixtures("walls")


@tool(effect="pure")
def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


@tool
def buy(item: str) -> str:
    """Buys an item."""
    return f"bought {item}"


def others(count):
    """Tools that make search necessary."""

    def make(number):
        def other(text: str) -> str:
            """Says something about a text."""
            return text

        return tool(name=f"other_{number}")(other)

    return [make(number) for number in range(count)]


async def test_final_answer_ends_the_run(tmp_path):
    run = await record([execute("final_answer(sum(range(5)))\nprint('not reached')")], tmp_path)
    assert run.run is not None
    assert (run.run.status, run.run.answer, run.run.steps) == ("answered", "10", 1)
    assert run.observations == ["Answered: 10"]


async def test_code_that_fails_shows_what_its_calls_gave_unless_it_printed_that(tmp_path):
    code = "print(double(number=2))\nfound = [double(number=3), double(number=3)]\nfound[0]['value']"
    run = await record([execute(code), DONE], tmp_path, tools=[double])
    assert run.observations[0].startswith("4\nTraceback")
    assert run.observations[0].endswith("is not subscriptable\nIts calls gave:\ndouble(number=3) -> 6")


async def test_code_that_prints_nothing_shows_what_its_calls_gave(tmp_path):
    run = await record([execute("found = double(number=3)"), DONE], tmp_path, tools=[double])
    assert run.observations[0].endswith("Use print(...) to see a value.\nIts calls gave:\ndouble(number=3) -> 6")


async def test_no_more_of_what_calls_gave_is_held_than_is_shown(tmp_path, monkeypatch):
    held = []
    begin = CodeCalls.begin

    def begun(self, *given, **options):
        held.extend(self.brought)
        begin(self, *given, **options)

    def page(number: int) -> str:
        """One page."""
        return f"{number} " + "x" * 10_000

    monkeypatch.setattr(CodeCalls, "begin", begun)
    code = "pages = [page(number=n) for n in range(200)]"
    run = await record([execute(code), execute("print(1)"), DONE], tmp_path, tools=[page])
    shown = run.observations[0].partition("Its calls gave:\n")[2].splitlines()
    assert [line.partition(" -> ")[0] for line in shown] == [f"page(number={n})" for n in range(6)]
    assert len(held) == 50
    assert sum(len(text) for *_, text in held) < 20_000


async def test_final_answer_counts_whatever_the_code_does_with_its_exception(tmp_path):
    code = "try:\n    final_answer([1, 'a'])\nexcept BaseException:\n    print('swallowed')"
    run = await record([execute(code)], tmp_path)
    assert run.run is not None
    assert run.run.answer == "[1, 'a']"


async def test_tools_are_searched_for_from_code_and_called_in_the_same_cell(tmp_path):
    code = "print(search_tools('twice a number').splitlines()[0])\nfinal_answer(double(number=21))"
    run = await record([execute(code)], tmp_path, tools=[double, *others(10)])
    assert run.run is not None
    assert run.run.answer == "42"
    assert "double(number: int)" in run.observations[0]
    assert [event.name for event in run.of(ToolCalled)] == ["search_tools", "double"]


async def test_search_is_not_there_where_all_tools_are_shown(tmp_path):
    run = await record([execute("search_tools('x')"), "<answer>done</answer>"], tmp_path, tools=[double])
    assert "NameError" in run.observations[0]


async def test_every_call_from_code_is_in_the_log_before_and_after(tmp_path):
    run = await record(
        [
            execute("import asyncio\nawait asyncio.gather(*(double.aio(number=n) for n in range(3)))"),
            DONE,
        ],
        tmp_path,
        tools=[double],
    )
    assert run.observations[0] == "[0, 2, 4]"
    assert [event.arguments["number"] for event in run.of(ToolCalled)] == [0, 1, 2]
    assert sorted((event.call, event.result) for event in run.of(ToolReturned)) == [(1, "0"), (2, "2"), (3, "4")]


async def test_an_error_in_code_has_the_words_that_the_call_action_gives(tmp_path):
    run = await record(
        [call("double", number="many"), execute("double(number='many')"), DONE],
        tmp_path,
        tools=[double],
    )
    words = run.observations[0].removeprefix("error: ")
    assert run.observations[1].endswith(f"ToolError: {words}")


async def test_a_run_makes_no_more_calls_from_code_than_it_may(tmp_path):
    config = HASHED.model_copy(update={"limits": HASHED.limits.model_copy(update={"calls": 3})})
    code = "for n in range(5): print(double(number=n))"
    run = await record([execute(code), DONE], tmp_path, tools=[double], config=config)
    assert "the limit of 3 tool calls from code is reached" in run.observations[0]
    assert [event.error for event in run.of(ToolReturned)] == [None, None, None, "tool_refused"]


async def test_unsafe_calls_are_made_only_when_they_are_approved(tmp_path):
    asked = []

    async def approve(spec, arguments):
        asked.append((spec.name, arguments))
        return arguments["item"] == "apple"

    model = WatchedModel([execute("print(buy(item='apple')); print(double(number=2)); buy(item='car')"), DONE])
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = await Agent(model, [buy, double], config=HASHED, store=store, approve=approve).run("Do it.")
        events = [recorded.event for recorded in store.events(run.id)]
    assert_promises(events, model)
    (seen,) = [event.observation.text for event in events if isinstance(event, Observed)]
    assert seen.startswith("bought apple\n4\n")
    assert "the call of buy is not approved" in seen
    assert asked == [("buy", {"item": "apple"}), ("buy", {"item": "car"})]


async def test_attachments_are_read_only_and_files_that_code_leaves_are_kept(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n")
    code = (
        "rows = open('table.csv').read()\n"
        "open('out.txt', 'w').write(rows.upper())\n"
        "try: open('table.csv', 'w')\n"
        "except PermissionError as error: print(error)"
    )
    model = ScriptedModel([execute(code), execute("import os; os._exit(1)"), execute("print('new')"), DONE])
    with RunStore(tmp_path / "runs.sqlite") as store:
        run = await Agent(model, config=HASHED, store=store).run("Read it.", attachments=[table])
        observed = [event.event.observation.text for event in store.events(run.id) if isinstance(event.event, Observed)]
        assert "Files in the working directory: table.csv" in run.task
        assert "Permission denied" in observed[0]
        assert "the files are kept" in observed[1]
        assert store.files(run.id) == {"out.txt": b"A,B\n1,2\n"}
    assert table.read_text() == "a,b\n1,2\n"


async def test_an_attachment_that_cannot_be_read_is_the_caller_s_mistake(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        await Agent(ScriptedModel([]), config=HASHED, store=tmp_path / "r").run("x", attachments=[tmp_path / "none"])


async def test_cancelling_a_run_kills_its_interpreter_within_a_second(tmp_path):
    model = ScriptedModel([execute("import subprocess; subprocess.run(['sleep', '60'])")])
    config = HASHED.model_copy(update={"sandbox": SandboxConfig(warm=0)})
    with RunStore(tmp_path / "runs.sqlite") as store:
        running = asyncio.create_task(Agent(model, config=config, store=store).run("Do it."))
        await until(lambda: len(descendants(os.getpid())) >= 4)
        began = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not descendants(os.getpid())
        assert time.monotonic() - began < 1
        (summary,) = store.runs()
        assert isinstance(summary.ended, Ended)
        assert summary.ended.status == "interrupted"


async def test_settings_that_cannot_be_met_end_the_run_as_failed(tmp_path):
    config = HASHED.model_copy(update={"sandbox": SandboxConfig(packages=("no-such-package",))})
    with RunStore(tmp_path / "runs.sqlite") as store:
        with pytest.raises(ConfigError, match="pip install no-such-package"):
            await Agent(ScriptedModel([execute("1")]), config=config, store=store).run("Do it.")
        (summary,) = store.runs()
    assert summary.ended is not None
    assert summary.ended.status == "failed"
