"""Memory as the text that opens a window, and history as the text that a fold reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepagent.memory.ledger import describe_in_full, line, select
from deepagent.memory.schema import Memory, ToolRecord
from deepagent.runs.steps import Step
from deepagent.transcript import clipped

_NARRATIVE = 0.4
"""Share of the room that the narrative may take; the ledger has the rest, and what the narrative leaves."""
_TOOLS = 20
"""Tools that are told of, those that were used last."""


def render_memory(memory: Memory, limit: int) -> str:
    """The memory as text of at most `limit` bytes.

    The order is always the same, and what changes least from fold to fold comes first: a server's prefix cache serves
    the beginning again. What is needed next comes last, where the model reads on.
    """
    if memory.summary:
        return clipped(memory.summary, limit)
    if memory.recent:
        return "\n".join(newest(memory.recent, limit))
    share = _NARRATIVE if memory.ledger else 1
    narrative = _as_many_as_fit(list(_narrative(memory)), int(limit * share))
    told = "\n".join(narrative)
    head = "Log of steps (exact; `recall` gives each in full):"
    room = limit - len(told.encode()) - len(head) - 60
    kept = select(memory.ledger, room)
    if not kept:
        return told
    hidden = memory.steps - len(kept)
    note = [f"({hidden} more lines left out)"] if hidden > 0 else []
    return "\n".join([head, *note, *map(line, kept), told])


def render_step(step: Step) -> str:
    """One step in full: thought, action, result."""
    result = step.observation.text if step.observation else "(no result)"
    thought = f"{step.thought}\n" if step.thought else ""
    return f"[step {step.number}] {thought}{describe_in_full(step.action)}\nresult: {result}"


def newest(texts: Sequence[str], limit: int) -> list[str]:
    """As many of the last texts as `limit` bytes hold, in their order; at least a part of the very last."""
    chosen: list[str] = []
    left = limit
    for text in reversed(texts):
        left -= len(text.encode()) + 1
        if left < 0:
            break
        chosen.append(text)
    return chosen[::-1] or [clipped(text, limit) for text in texts[-1:]]


def _narrative(memory: Memory) -> Iterator[tuple[int, str]]:
    """The lines in the order in which they are shown, each with its rank when there is not room for all."""
    episodic, working = memory.episodic, memory.working
    for record in memory.tool.tools_used[-_TOOLS:]:
        yield 4, _tool(record)
    for rule in memory.tool.derived_rules:
        yield 3, f"Rule: {rule.rule} (steps {', '.join(rule.steps)})"
    for event in episodic.key_events:
        yield 2, f"- step {event.step}: {event.description} -> {event.outcome}"
    counted = f"{memory.steps} steps taken, {memory.failed} of them failed."
    yield 0, f"Progress: {counted} {episodic.current_progress}".rstrip()
    if memory.thought:
        yield 1, f"Last thought: {memory.thought}"
    if working.immediate_goal:
        yield 0, f"Goal now: {working.immediate_goal}"
    if working.current_challenges:
        yield 1, f"Difficulties: {working.current_challenges}"
    for action in working.next_actions:
        yield 1, f"Next: {action.description}"


def _tool(record: ToolRecord) -> str:
    text = f"Tool {record.tool_name}: {record.calls} calls, {record.success_rate:.0%} succeeded"
    if record.errors:
        text += f", failed with {', '.join(record.common_errors)}"
    return " ".join(
        [f"{text}.", *(f"{words.rstrip('.')}." for words in (record.experience, record.response_pattern) if words)]
    )


def _as_many_as_fit(lines: Sequence[tuple[int, str]], limit: int) -> list[str]:
    """As many whole lines as fit, by rank; they stay in their order."""
    chosen: set[int] = set()
    used = 0
    for at in sorted(range(len(lines)), key=lambda at: lines[at][0]):
        size = len(lines[at][1].encode()) + 1
        if used + size <= limit:
            chosen.add(at)
            used += size
    return [text for at, (_, text) in enumerate(lines) if at in chosen]
