"""What can be counted of tools is counted: calls, errors, parameters that worked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from deepagent.actions import Call
from deepagent.errors import UnknownToolError
from deepagent.memory.schema import ToolRecord, one_line
from deepagent.runs.steps import Step

_PARAMETERS = 20
_ERROR_CHARS = 160


class Use(NamedTuple):
    """A finished tool call, from the stream or from code; `error` is the kind of failure, or None."""

    name: str
    arguments: dict[str, Any]
    error: str | None
    result: str
    simulated: bool


def uses(step: Step) -> Iterator[Use]:
    """The finished tool calls of a step."""
    action, seen = step.action, step.observation
    if isinstance(action, Call) and seen is not None and seen.error != UnknownToolError.kind:
        yield Use(action.name, action.arguments, seen.error, seen.text, seen.simulated)
    for one in step.uses:
        if (returned := one.returned) is not None:
            yield Use(one.called.name, one.called.arguments, returned.error, returned.result, returned.simulated)


def counted(steps: Iterable[Step], before: Sequence[ToolRecord]) -> list[ToolRecord]:
    """The records of earlier steps with those of these steps added; the tool used last stands at the end."""
    records = {record.tool_name: record for record in before}
    for step in steps:
        for use in uses(step):
            record = records.pop(use.name, None) or ToolRecord(tool_name=use.name, calls=0)
            changes: dict[str, Any] = {"calls": record.calls + 1}
            if use.error:
                errors = dict(record.errors)
                errors[use.error] = errors.pop(use.error, 0) + 1  # the kind that came last stands at the end
                changes["errors"] = errors
                changes["last_error"] = one_line(use.result[:_ERROR_CHARS])
            else:
                worked = dict.fromkeys((*record.effective_parameters, *use.arguments))
                changes["effective_parameters"] = tuple(worked)[:_PARAMETERS]
            records[use.name] = record.model_copy(update=changes)
    return list(records.values())
