"""Runs for the page: written to the log as an agent writes them, of any length, and as hostile as can be."""

from __future__ import annotations

import json
from typing import Any

from deepagent.actions import Action, Answer, Call, Execute, Found, Malformed, Observation, Search
from deepagent.models.base import Generated, Usage
from deepagent.runs.events import (
    Ended,
    FoldBegan,
    Folded,
    Intended,
    Observed,
    Replied,
    Started,
    Status,
    ToolCalled,
    ToolReturned,
    WindowOpened,
)
from deepagent.runs.log import RunLog
from deepagent.runs.store import RunStore
from deepagent.transcript import Segment

HOSTILE = "</pre></script><script>alert('task')</script><img src=x onerror=alert(1)> \u202etxt.exe \x1b[2J {{ 7*7 }}"
HUGE = "<b>0123456789</b>\n" * 560_000
"""10 MB."""
_EVERY = 60
"""Steps between two folds."""


def write_run(store: RunStore, steps: int, *, task: str = "Count the orders.", huge_at: int = 0, **ended: Any) -> str:
    """A finished run of so many steps, the last of which answers; every sixtieth is followed by a fold."""
    log = begin(store, task)
    for number in range(1, steps):
        step(log, number, result=HUGE if number == huge_at else "")
        if number % _EVERY == 0:
            fold(log, number // _EVERY, number)
    step(log, steps, Answer(text=str(ended.get("answer", "42"))))
    end(log, steps, **ended)
    return log.id


def begin(
    store: RunStore, task: str = "Count the orders.", *, model: str = "scripted", benchmark: Any = None
) -> RunLog:
    """A run with its first window open."""
    log = store.new_run()
    log.append(Started(run=log.id, task=task, model=model, context=8192, settings={}, benchmark=benchmark))
    log.append(WindowOpened(number=1, messages=(), segments=(_segment("prompt", f"{HOSTILE} instructions"),)))
    return log


def step(log: RunLog, number: int, action: Action | None = None, result: str = "") -> None:
    """One step; without an action, steps take turns in what they do."""
    done = action or _action(number)
    text = result or f"result {number} {HOSTILE}"
    sent = 600 + number % _EVERY * 90
    usage = Usage(prompt_tokens=sent, cached_tokens=sent * 9 // 10, completion_tokens=20 + number % 7 * 30)
    segment = _segment("generated", f"thought {number} {HOSTILE}")
    log.append(
        Replied(step=number, generated=Generated(segment=segment, finish="stop", usage=usage, seconds=1.5)),
        Intended(step=number, thought=f"thought {number} {HOSTILE}", action=done),
    )
    if isinstance(done, Answer):
        return
    if isinstance(done, Execute):
        log.append(ToolCalled(step=number, call=1, name="list_orders", arguments={"note": HOSTILE}))
        log.append(ToolReturned(step=number, call=1, result=f"[40, 85] {HOSTILE}"))
    found = tuple(Found(name=f"tool_{n}", score=1 - n / 10, dense=0.3, lexical=3.2) for n in range(5))
    observation = Observation(
        text=text,
        found=found if isinstance(done, Search) else (),
        error="malformed" if isinstance(done, Malformed) else None,
    )
    log.append(Observed(step=number, observation=observation, segment=_segment("observation", text[:99]), seconds=0.2))


def fold(log: RunLog, number: int, covered: int) -> None:
    """History is compressed after the step `covered`."""
    memory = {
        "episodic": {
            "task_description": f"Count the orders. {HOSTILE}",
            "key_events": [
                {"step": str(n), "description": f"month {n}", "outcome": "42"} for n in (number, number + 1)
            ],
            "current_progress": f"{covered} steps are done",
        },
        "working": {"immediate_goal": f"look at month {number}", "current_challenges": "", "next_actions": []},
        "tool": {
            "tools_used": [{"tool_name": "list_orders", "calls": covered, "success_rate": 0.9, "common_errors": []}],
            "derived_rules": ["ask for one month at a time"],
        },
        "ledger": [{"step": 1, "action": "call list_orders", "result": HOSTILE, "ok": True}],
    }
    used = Usage(prompt_tokens=900, completion_tokens=300)
    log.append(FoldBegan(reason="window", tokens=6000))
    log.append(
        Folded(number=number, reason="window", memory=memory, before=6000, after=900, usage=used, seconds=12.0),
        WindowOpened(number=number + 1, messages=(), segments=(_segment("prompt", "instructions"),)),
    )


def end(log: RunLog, steps: int, status: Status = "answered", answer: str | None = "42", folds: int = 0) -> None:
    """The run is over."""
    used = Usage(prompt_tokens=steps * 1000, cached_tokens=steps * 900, completion_tokens=steps * 50)
    said = {"status": status, "answer": answer, "reason": "the model answered"}
    log.append(Ended(**said, usage=used, steps=steps, folds=folds, seconds=61.0))


def _action(number: int) -> Action:
    kinds: list[Action] = [
        Search(query=f"orders of month {number} {HOSTILE}"),
        Call(name="list_orders", arguments={"customer": number, "note": HOSTILE}),
        Execute(code=f"total = {number}\nprint(list_orders(note={json.dumps(HOSTILE)}))"),
        Malformed(problem=f"the reply holds no action {HOSTILE}"),
    ]
    return kinds[number % 4]


def _segment(kind: Any, text: str) -> Segment:
    return Segment(kind=kind, text=text, token_ids=tuple(range(max(1, len(text) // 4))))
