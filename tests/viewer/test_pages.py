"""The pages, as a browser receives them."""

import re
import threading

import pytest

from deepagent.actions import Answer, Search
from deepagent.runs.events import Resumed
from deepagent.viewer import pages
from deepagent.viewer.differences import compare
from deepagent.viewer.pages import CHUNK
from tests.support import answer, call, execute, record
from tests.viewer.runs import HOSTILE, HUGE, begin, end, fold, step, write_run


def anchors(html):
    return re.findall(r'<li class="entry[^"]*" id="([^"]+)"', html)


def test_an_empty_store_says_how_to_make_a_run(page):
    assert "deepagent run" in page.get("/").text


def test_the_newest_runs_come_first_page_by_page(page, store):
    runs = [write_run(store, 1, task=f"task number {number}") for number in range(53)]
    first, second = page.get("/").text, page.get("/?page=2").text
    assert "53 runs" in first
    assert re.findall(r'href="/runs/([^"]+)"', first + second) == runs[::-1]
    assert 'href="/?page=2"' in first
    assert page.get("/?page=99999999999999999999").status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("text=APPLES", ["apples"]),
        ("text=seven", ["pears"]),
        ("status=failed", ["plums"]),
        ("status=answered", ["apples", "pears"]),
        ("model=large", ["pears"]),
        ("benchmark=toolhop", ["plums"]),
        ("status=answered&model=large&text=pear", ["pears"]),
        ("text=%25", []),
        ("status=dead", []),
    ],
)
def test_runs_are_found_by_text_status_model_and_benchmark(page, store, query, found):
    logs = {
        "apples": begin(store, "count apples"),
        "pears": begin(store, "count pears", model="large"),
        "plums": begin(store, "count plums", benchmark="toolhop/7"),
    }
    end(logs["apples"], 1)
    end(logs["pears"], 1, answer="seven")
    end(logs["plums"], 1, status="failed", answer=None)
    text = page.get(f"/?{query}").text
    assert [name for name in logs if f"count {name}" in text] == found


async def test_a_recorded_run_is_told_from_task_to_answer(page, tmp_path):
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    script = [call("add", a=1, b=2), execute("print(add(a=3, b=4))\nprint('<i>x</i>')"), answer("10")]
    recording = await record(script, tmp_path, tools=[add], task="Add <b>all</b>.")
    text = page.get(f"/runs/{recording.run.id}").text
    assert anchors(text) == ["window-1", "step-1", "step-2", "step-3"]
    assert "Add &lt;b&gt;all&lt;/b&gt;." in text
    assert "&lt;i&gt;x&lt;/i&gt;" in text
    assert "add(a=3, b=4)" in text
    assert re.search(r"<h2>Answer</h2><p>10</p>", text)


def test_nothing_that_was_written_becomes_markup(page, store):
    run = write_run(store, 70, task=HOSTILE, answer=HOSTILE)
    other = write_run(store, 8, task=HOSTILE, answer=HOSTILE)
    for address in (
        "/",
        f"/runs/{run}",
        f"/runs/{run}/entries?from={CHUNK}",
        f"/runs/{run}?find=thought",
        f"/compare?run={run}&run={other}",
    ):
        text = page.get(address).text
        assert "&lt;script&gt;alert" in text, address
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert "49" not in re.findall(r"txt\.exe.{0,20}", text)


def test_a_search_shows_its_tools_with_their_scores(page, store):
    log = begin(store)
    step(log, 1, Search(query="orders"))
    text = page.get(f"/runs/{log.id}").text
    assert re.findall(r"<code>(tool_\d)</code>", text) == [f"tool_{n}" for n in range(5)]
    assert "1.00" in text
    assert "3.20" in text


def test_a_fold_shows_three_memories_and_what_changed(page, store):
    log = begin(store)
    fold(log, 1, 10)
    fold(log, 2, 20)
    text = page.get(f"/runs/{log.id}").text
    assert [name for name in ("episodic", "working", "tool") if f"{name} memory" in text] == [
        "episodic",
        "working",
        "tool",
    ]
    assert "<del>10</del><ins>20</ins>" in text
    assert "Against fold 1" in text


def test_a_long_run_is_fetched_in_pieces(page, store):
    run = write_run(store, 100)
    text = page.get(f"/runs/{run}").text
    assert len(anchors(text)) == CHUNK
    waiting = re.findall(r'data-chunk="([^"]+)" data-anchors="([^"]+)"', text)
    pieces = [anchors(page.get(address.replace("&amp;", "&")).text) for address, _ in waiting]
    assert pieces == [names.split() for _, names in waiting]
    assert pieces[-1][-1] == "step-100"
    assert anchors(page.get(f"/runs/{run}?from={CHUNK}").text) == pieces[0], "without scripts, links lead on"


def test_a_run_is_searched(page, store):
    run = write_run(store, 100)
    assert anchors(page.get(f"/runs/{run}?find=THOUGHT 77").text) == ["step-77"]
    assert anchors(page.get(f"/runs/{run}?find=steps are done").text) == ["fold-1"]
    assert page.get(f"/runs/{run}?find=88").headers["location"] == f"/runs/{run}#step-88"


def test_ten_megabytes_are_cut_and_can_be_read_raw(page, store):
    run = write_run(store, 4, huge_at=1)
    text = page.get(f"/runs/{run}").text
    assert len(text) < 100_000
    source = re.search(r'href="(/runs/[^"]+/observation)">Raw text, [\d.]+ M characters', text)[1]
    raw = page.get(source)
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.text == HUGE


def test_a_text_can_be_fetched_as_it_is_shown(page, store):
    run = write_run(store, 2, task=HOSTILE)
    assert page.get(f"/runs/{run}/text/1/task").text == HOSTILE
    assert "⟨U+202E⟩" in page.get(f"/runs/{run}/text/1/task?shown").text


async def test_a_result_that_was_kept_aside_is_linked(page, tmp_path):
    recording = await record([execute("'x' * 9_000"), answer("1")], tmp_path)
    address = re.search(r'href="(/runs/[^"]+/artifacts/[^"]+)"', page.get(f"/runs/{recording.run.id}").text)[1]
    assert page.get(address).text == repr("x" * 9_000)


MISSING = [
    "/nope",
    "/runs/nope",
    "/compare",
    "/compare?run=a&run=b",
    "/runs/{run}/text/99/task",
    "/runs/{run}/text/x/y",
    "/runs/{run}/artifacts/../../x",
    "/static/../app.py",
]


@pytest.mark.parametrize("address", MISSING)
def test_what_is_not_there_is_a_page_that_says_so(page, store, address):
    answer = page.get(address.format(run=write_run(store, 1)))
    assert answer.status_code == 404


def test_two_runs_stand_side_by_side(page, store):
    one, other = write_run(store, 4), begin(store)
    for number in range(1, 3):
        step(other, number)
    step(other, 3, Answer(text="7"))
    end(other, 3, answer="7")
    text = page.get(f"/compare?run={one}&run={other.id}").text
    rows = re.findall(r'<tr class="([^"]+)" id="pair-(\d+)"', text)
    assert rows == [("same", "0"), ("same", "1"), ("differs split", "2"), ("differs", "3")]
    assert 'href="?run=' in text


def test_runs_are_aligned_beside_the_event_loop(page, store, monkeypatch):
    threads = []

    def aligned(left, right):
        threads.append(threading.current_thread().name)
        return compare(left, right)

    monkeypatch.setattr(pages, "compare", aligned)
    monkeypatch.setattr(pages, "first_divergence", lambda pairs: threads.append(threading.current_thread().name))
    assert page.get(f"/compare?run={write_run(store, 1)}&run={write_run(store, 1)}").status_code == 200
    beside, loop = threads
    assert beside != loop


def test_a_run_that_went_on_tells_both_lives(page, store):
    log = begin(store)
    step(log, 1)
    end(log, 1, status="interrupted", answer=None)
    assert "deepagent run --resume" in page.get(f"/runs/{log.id}").text
    log.append(Resumed(model="scripted", context=8192, settings={}, rebuilt=tuple(range(3))))
    step(log, 2, Answer(text="7"))
    end(log, 2, answer="7")
    text = page.get(f"/runs/{log.id}").text
    assert re.findall(r"<strong>(\w+)</strong>", text) == ["interrupted", "resumed"]
    assert "3 cells were run again" in text
    assert "--resume" not in text


def test_a_run_whose_process_is_gone_says_so(page, store):
    log = begin(store)
    step(log, 1)
    log.release()
    assert "process gone" in page.get("/").text
    assert "Its process is gone" in page.get(f"/runs/{log.id}").text


def test_numbers_of_absurd_length_are_no_numbers(page, store):
    run = write_run(store, 2)
    digits = "9" * 5_000
    assert page.get(f"/runs/{run}?find={digits}").status_code == 200
    assert page.get(f"/runs/{run}?from={digits}").status_code == 200
