"""What recording runs costs: appends, their share of a step's processor time, resuming, listing, bytes.

python -m benchmarks.runs
"""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.framework.measure import measure
from benchmarks.framework.passes import server
from benchmarks.framework.script import STEPS
from deepagent import AgentConfig
from deepagent.actions import Call, Observation
from deepagent.models.base import Generated, Usage
from deepagent.runs import store as stores
from deepagent.runs.events import Ended, Intended, Observed, Replied, Started, WindowOpened
from deepagent.runs.progress import Progress
from deepagent.runs.store import RunStore
from deepagent.transcript import Segment

WORDS = (Path(stores.__file__).read_text() + Path(__file__).read_text()).split()
PIECES = [piece for word in WORDS for piece in (word[n : n + 4] for n in range(0, len(word), 4))]
RANKS = {f"{piece}": rank for rank, (piece, _) in enumerate(Counter(PIECES).most_common())}
"""Token ids as tokenizers number them: frequent pieces first."""


def text(number: int, words: int = 60) -> str:
    """English of a program's comments, other words each time."""
    start = number * 37 % (len(WORDS) - words)
    return " ".join(WORDS[start : start + words])


def segment(kind, said: str) -> Segment:
    pieces = (word[n : n + 4] for word in said.split() for n in range(0, len(word), 4))
    ids = tuple(RANKS.get(piece, hash(piece) % 100_000) for piece in pieces)
    return Segment(kind=kind, text=said, token_ids=ids)


def step(number: int) -> list[tuple]:
    """What one step appends: the reply with its action, then the observation."""
    thought, result = text(number), text(number + 500)
    call = Call(name="lookup", arguments={"key": text(number + 900, 4)})
    reply = segment(
        "generated", f'{thought}\n<tool_call>{{"name": "lookup", "arguments": {call.arguments}}}</tool_call>'
    )
    shown = segment("observation", f"\n<tool_call_result>\n{result}\n</tool_call_result>\n")
    generated = Generated(segment=reply, finish="stop", usage=Usage(prompt_tokens=900), seconds=1)
    return [
        (Replied(step=number, generated=generated), Intended(step=number, thought=thought, action=call)),
        (Observed(step=number, observation=Observation(text=result), segment=shown, seconds=0.1),),
    ]


def begun(store: RunStore, task: str = "t"):
    log = store.new_run()
    log.append(Started(run=log.id, task=task, model="m", context=8192, settings=AgentConfig().model_dump(mode="json")))
    log.append(WindowOpened(number=1, messages=(), segments=(segment("prompt", text(1, 300)),)))
    return log


def appends(folder: Path) -> None:
    steps = [step(number) for number in range(1, 668)]
    with RunStore(folder / "a.sqlite") as store:
        log, taken = begun(store), []
        for one in steps:
            for events in one:
                began = time.perf_counter()
                log.append(*events)
                taken.append((time.perf_counter() - began) * 1e3)
        began = time.process_time()
        events = [one.event for one in store.events(log.id)]
        Progress(events)
        resume = time.process_time() - began
        size = store._database.connection.execute("SELECT sum(length(body)) FROM records").fetchone()[0]
    held = sum(
        len(part.text.encode())
        for one in steps
        for events_of in one
        for event in events_of
        for part in [getattr(event, "segment", None) or (event.generated.segment if event.kind == "replied" else None)]
        if part is not None
    )
    taken.sort()
    late = taken[len(taken) * 95 // 100]
    print(f"append: p50 {statistics.median(taken):.3f} ms, p95 {late:.3f} ms (target p50 0.2)")
    print(f"read and fold {len(events)} events: {resume:.3f} s of CPU (target 0.5 for 2,000)")
    print(
        f"bytes per step: {size / len(steps):.0f} for {held / len(steps):.0f} of text: {size / held:.2f} (target 1.5)"
    )


def listing(folder: Path) -> None:
    with RunStore(folder / "l.sqlite") as store:
        store._database.connection.execute("PRAGMA synchronous=OFF")
        for number in range(10_000):
            log = store.new_run()
            log.append(Started(run=log.id, task=text(number, 20), model="m", context=1, settings={}))
            if number % 50:
                log.append(
                    Ended(status="answered", answer=str(number), reason="r", usage=Usage(), steps=3, folds=0, seconds=1)
                )
            log.release()
        for name, only in (("newest 50", None), ("found by text", stores.RunFilter(text="transaction"))):
            began = time.perf_counter()
            store.runs(50, only=only), store.count(only)
            print(f"list page of 10,000 runs, {name}: {(time.perf_counter() - began) * 1e3:.1f} ms (target 300)")


def share() -> None:
    """The log's part in what `benchmarks.framework` calls the framework's CPU per step, the log's file included."""
    spent = 0.0
    real = RunStore.append

    def timed(*args, **options):
        nonlocal spent
        began = time.thread_time()
        try:
            return real(*args, **options)
        finally:
            spent += time.thread_time() - began

    RunStore.append = timed
    for concurrency, runs in ((1, 20), (32, 64), (256, 256)):
        spent = 0.0
        with server() as url:
            cell = asyncio.run(measure("ours", url, concurrency, runs))
        log = spent / (runs + 1) / STEPS * 1e3  # one run before the measured ones opens what is opened once
        print(
            f"log, {concurrency} runs at a time: {log:.3f} of {cell.cpu_ms:.3f} ms CPU a step:"
            f" {log / cell.cpu_ms:.1%} (target 10 %)"
        )
    RunStore.append = real


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        appends(Path(folder))
        listing(Path(folder))
    share()


if __name__ == "__main__":
    main()
