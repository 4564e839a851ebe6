"""A run as a Markdown document for people. What models and tools wrote stands in it as text, never as markup."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence

from deepagent.actions import Action, Answer, Call, Execute, Malformed, Search
from deepagent.runs.events import (
    Ended,
    Event,
    Folded,
    Intended,
    Noticed,
    Observed,
    Recorded,
    Resumed,
    Started,
    ToolCalled,
    ToolReturned,
)

_LINES = 40
_CHARS = 4_000
_MARKS = re.compile(r"([\\`*_\[\]()#!|~>+-])")


def report(events: Sequence[Recorded]) -> Iterator[str]:
    """The document: task and outcome, then every step."""
    kinds = {recorded.event.kind: recorded for recorded in events}
    started = events[0].event if events else None
    ended = kinds["ended"].event if "ended" in kinds else None
    if isinstance(started, Started):
        yield from _head(started, events[0].at, ended if isinstance(ended, Ended) else None)
    for recorded in events:
        yield from _told(recorded.event)


def _head(started: Started, at: float, ended: Ended | None) -> Iterator[str]:
    yield f"# Run {_plain(started.run)}\n\n{_quoted(started.task)}\n\n"
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    facts = [f"model {_plain(started.model)}", f"window {started.context:,} tokens", when]
    if ended is None:
        yield f"{', '.join(facts)}; not ended\n\n## Steps\n\n"
        return
    used = ended.usage
    facts += [
        f"{ended.steps} steps", f"{ended.folds} folds", f"{ended.seconds:.0f} s",
        f"{used.prompt_tokens:,} prompt tokens ({used.cached_tokens:,} cached) and {used.completion_tokens:,} written",
    ]  # fmt: skip
    yield f"{', '.join(facts)}\n\n"
    yield f"**{ended.status.capitalize()}**: {_plain(ended.answer if ended.answer is not None else ended.reason)}\n\n"
    yield "## Steps\n\n"


def _told(event: Event) -> Iterator[str]:
    if isinstance(event, Intended):
        yield f"### {event.step}. {_title(event.action)}\n\n"
        if event.thought:
            yield f"{_quoted(event.thought)}\n\n"
        yield from _body(event.action)
    elif isinstance(event, ToolCalled):
        yield f"`{_code(event.name)}` is called with\n\n{_fenced(json.dumps(event.arguments, ensure_ascii=False))}\n\n"
    elif isinstance(event, ToolReturned):
        yield f"{_fenced(event.result)}\n\n"
    elif isinstance(event, Observed):
        yield from _observed(event)
    elif isinstance(event, Folded):
        memory = {name: part for name, part in event.memory.items() if name != "ledger"}
        yield f"### Fold {event.number}: {event.before:,} to {event.after:,} tokens\n\n"
        yield f"{_fenced(json.dumps(memory, ensure_ascii=False, indent=2), 'json', lines=200)}\n\n"
    elif isinstance(event, Noticed):
        yield f"*{_plain(event.text)}*\n\n"
    elif isinstance(event, Resumed):
        yield f"*Resumed with {_plain(event.model)}*\n\n"


def _title(action: Action) -> str:
    return f"Call `{_code(action.name)}`" if isinstance(action, Call) else action.kind.capitalize()


def _body(action: Action) -> Iterator[str]:
    if isinstance(action, Search):
        yield f"{_plain(action.query)}\n\n"
    elif isinstance(action, Execute):
        yield f"{_fenced(action.code, 'python', lines=200)}\n\n"
    elif isinstance(action, Call):
        yield f"{_fenced(json.dumps(action.arguments, ensure_ascii=False, indent=2), 'json')}\n\n"
    elif isinstance(action, Answer):
        yield f"{_plain(action.text)}\n\n"
    elif isinstance(action, Malformed):
        yield f"*{_plain(action.problem)}*\n\n"


def _observed(event: Observed) -> Iterator[str]:
    seen = event.observation
    if seen.found:
        yield "| tool | score | dense | lexical |\n|---|---|---|---|\n"
        for tool in seen.found:
            yield f"| {_plain(tool.name)} | {tool.score:.2f} | {tool.dense:.2f} | {tool.lexical:.2f} |\n"
        yield "\n"
    elif seen.error != "malformed":  # the action said it already
        yield f"{f'**{_plain(seen.error)}**: ' if seen.error else ''}\n\n{_fenced(seen.text)}\n\n".lstrip("\n")


def _plain(text: str) -> str:
    """Words as words: nothing in them is a heading, a link, an image or HTML."""
    escaped = _MARKS.sub(r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _quoted(text: str) -> str:
    return "\n".join(f"> {_plain(line)}" for line in text.strip().splitlines())


def _code(text: str) -> str:
    return text.replace("`", "'").replace("\n", " ")


def _fenced(text: str, language: str = "", lines: int = _LINES) -> str:
    """A block that its text cannot end, cut where it is long."""
    rows = text.rstrip().splitlines()
    shown = "\n".join(rows[:lines])[:_CHARS]
    left_out = len(text.rstrip()) - len(shown)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    note = f"\n\n*{left_out:,} more characters*" if left_out > 0 else ""
    return f"{fence}{language}\n{shown}\n{fence}{note}"
