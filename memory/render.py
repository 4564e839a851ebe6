"""Memory as the text that opens a window, and history as the text that a fold reads."""

from __future__ import annotations

from collections.abc import Sequence

from deepagent.actions import Call, Execute, Search
from deepagent.memory.ledger import describe
from deepagent.memory.schema import Memory
from deepagent.runs.steps import Step


def render_memory(memory: Memory, limit: int) -> str:
    """The memory as text of at most `limit` bytes.

    The narrative comes first and is kept longest; of the ledger, the newest entries are kept.
    """
    episodic, working = memory.episodic, memory.working
    head = [
        f"Progress: {episodic.current_progress}",
        *(f"- step {event.step}: {event.description} -> {event.outcome}" for event in episodic.key_events),
        f"Goal now: {working.immediate_goal}",
        f"Difficulties: {working.current_challenges}",
        *(f"Next: {action.description}" for action in working.next_actions),
        *(
            f"Tool {tool.tool_name}: {tool.calls} calls, {tool.success_rate:.0%} succeeded"
            + (f", failed with {', '.join(tool.common_errors)}" if tool.common_errors else "")
            + (f". {tool.experience}" if tool.experience else "")
            for tool in memory.tool.tools_used
        ),
        *(f"Rule: {rule}" for rule in memory.tool.derived_rules),
    ]
    entries = [
        f"{entry.step}. {entry.action} -> {entry.result}"
        if entry.ok
        else f"{entry.step}. {entry.action} FAILED {entry.result}"
        for entry in memory.ledger
    ]
    text = _fit(head, limit * 3 // 5, keep="first")
    left = limit - len(text.encode())
    log = _fit(entries, left - 80, keep="last")
    return f"{text}\nLog of steps (exact):\n{log}" if log else text


def render_step(step: Step) -> str:
    """One step in full: thought, action, result."""
    action = step.action
    done = describe(action)
    if isinstance(action, Execute):
        done = f"execute:\n{action.code}"
    elif isinstance(action, Call):
        done = f"call {action.name} {action.arguments}"
    elif isinstance(action, Search):
        done = f"search: {action.query}"
    result = step.observation.text if step.observation else "(no result)"
    thought = f"{step.thought}\n" if step.thought else ""
    return f"[step {step.number}] {thought}{done}\nresult: {result}"


def _fit(lines: Sequence[str], limit: int, *, keep: str) -> str:
    """As many whole lines as fit, from the first or from the last; what is left out is said."""
    chosen: list[str] = []
    used = 0
    for line in lines if keep == "first" else reversed(lines):
        size = len(line.encode()) + 1
        if used + size > limit:
            break
        chosen.append(line)
        used += size
    left_out = len(lines) - len(chosen)
    note = [f"({left_out} more lines left out)"] if left_out else []
    return "\n".join(chosen + note) if keep == "first" else "\n".join(note + chosen[::-1])
