"""What can be counted of tools is counted: calls, errors, parameters that worked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from deepagent.actions import Call
from deepagent.errors import UnknownToolError
from deepagent.memory.schema import ToolRecord
from deepagent.runs.steps import Step

_PARAMETERS = 20


def uses(step: Step) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """The finished tool calls of a step, from the stream and from code: name, arguments, kind of error or None."""
    observation = step.observation
    if isinstance(step.action, Call) and observation is not None and observation.error != UnknownToolError.kind:
        yield step.action.name, step.action.arguments, observation.error
    for use in step.uses:
        if use.returned is not None:
            yield use.called.name, use.called.arguments, use.returned.error


def counted(steps: Iterable[Step], before: Sequence[ToolRecord]) -> list[ToolRecord]:
    """The records of earlier steps with those of these steps added; the tool used last stands at the end."""
    records = {record.tool_name: record for record in before}
    for step in steps:
        for name, arguments, error in uses(step):
            record = records.pop(name, None) or ToolRecord(tool_name=name, calls=0)
            worked = () if error else arguments
            errors = Counter(record.errors) + Counter([error] if error else ())
            parameters = tuple(dict.fromkeys((*record.effective_parameters, *worked)))[:_PARAMETERS]
            records[name] = record.model_copy(
                update={"calls": record.calls + 1, "errors": dict(errors), "effective_parameters": parameters}
            )
    return list(records.values())
